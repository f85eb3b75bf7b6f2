"""The manifests that the tags and manifests of a repository need."""

from collections.abc import Container

from msgspec.structs import replace

from tasks.errors import IndexEmpty, NotFound
from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.registry.repository import Repository
from tasks.transfer.graph import Node, parse_node, walk
from tasks.transfer.plan.read_image import judged_media_type


class Needs:
    """The manifests that other manifests of a repository name; each is read once."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._read: dict[Digest, Node | None] = {}

    def all_of(self, digest: Digest) -> set[Digest]:
        """Return all manifests that a manifest needs, nested ones included; raises RegistryError, ManifestInvalid."""
        root = Descriptor("", digest, 0)
        return {entry.digest for node in walk(root, self._node) for entry in node.needs.manifests}

    def of_tags(self, but: Container[str]) -> set[str]:
        """Return the manifests that the tags of the repository hold or need, except the tags `but`."""
        held: set[str] = set()
        for tag in self._repository.tags():
            digest = None if tag in but else self._repository.digest_at(tag)
            if digest is not None:
                held |= {digest, *self.all_of(digest)}
        return held

    def _node(self, each: Descriptor) -> Node | None:
        if each.digest not in self._read:
            self._read[each.digest] = self._fetch(each)
        return self._read[each.digest]

    def _fetch(self, each: Descriptor) -> Node | None:
        """Return an index; None for an image, which names no manifests, and for a missing manifest."""
        if each.media_type in media_types.IMAGES:
            return None
        try:
            fetched = self._repository.fetch_manifest(each.digest)
            media_type = judged_media_type(fetched)
            if media_type not in media_types.INDEXES:
                return None
            return parse_node(each, replace(fetched, media_type=media_type))
        except (NotFound, IndexEmpty):
            return None
