"""The client of registries: each repository with its manifests, tags, blobs and referrers."""

from tasks.registry.repository.registries import Registries
from tasks.registry.repository.repository import Repository

__all__ = ["Registries", "Repository"]
