"""pubtools-quay's client of a registry's manifests, implemented by this project's client."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar

import requests
from requests.structures import CaseInsensitiveDict

from tasks.errors import DestinationError, NotFound, RegistryError
from tasks.installed import open_registries
from tasks.oci import media_types
from tasks.oci.digest import digest_of
from tasks.oci.document import media_type_of
from tasks.oci.reference import Reference
from tasks.pubtools_errors import ManifestNotFoundError, ManifestTypeError, http_error
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.registry.settings import Credentials

Answer = TypeVar("Answer")


class QuayClient:
    """Read and write manifests of one registry as the given user, or as the user of the settings.

    Methods take full references, and raise requests' HTTPError, with a status, if the registry refuses.
    """

    MANIFEST_LIST_TYPE: Final = media_types.DOCKER_LIST
    MANIFEST_V2S2_TYPE: Final = media_types.DOCKER_MANIFEST
    MANIFEST_V2S1_TYPE: Final = media_types.DOCKER_SCHEMA1
    MANIFEST_OCI_LIST_TYPE: Final = media_types.OCI_INDEX
    MANIFEST_OCI_V2S2_TYPE: Final = media_types.OCI_MANIFEST

    def __init__(self, username: str | None, password: str | None, host: str | None = None) -> None:
        self.username = username
        self.password = password
        self.host = host or "quay.io"

    def get_manifest(
        self,
        image: str,
        raw: bool = False,  # noqa: FBT001, FBT002 - pubtools-quay's
        media_type: str | None = None,
        return_headers: bool = False,  # noqa: FBT001, FBT002 - pubtools-quay's
    ) -> Any:
        """Return a manifest as a dict, or its text; with `return_headers` and a type also the headers that tell of it.

        Of a multi-arch image some registries serve the image for linux/amd64 if `media_type` is that of an image.
        Raises ManifestTypeError if the type is not the wanted one, ValueError for an image without tag and digest.
        """
        fetched = self._ask_image(image, lambda repository, at: repository.fetch_manifest(at, media_type))
        if media_type is not None and fetched.media_type != media_type:
            raise ManifestTypeError(f"{image} is of the type {fetched.media_type}, not {media_type}.")
        text = fetched.content.decode()
        if raw and return_headers and media_type is not None:
            return text, _headers(fetched)
        return text if raw else json.loads(text)

    def get_manifest_digest(self, image: str, media_type: str | None = None) -> str:
        """Return the sha256 digest of a manifest; raises ManifestNotFoundError if it does not exist."""
        try:
            text: str = self.get_manifest(image, raw=True, media_type=media_type)
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code != HTTPStatus.NOT_FOUND:
                raise
            raise ManifestNotFoundError(str(error), response=error.response) from error
        return digest_of(text.encode())

    def upload_manifest(self, manifest: Any, image: str, raw: bool = False) -> None:  # noqa: FBT001, FBT002 - pubtools-quay's
        """Store a manifest, given as a dict or text; its parts must exist already."""
        content = (manifest if raw else json.dumps(manifest, sort_keys=True, indent=4)).encode()
        media_type = media_type_of(content, None) or media_types.DOCKER_MANIFEST
        self._ask_image(image, lambda repository, at: repository.push_manifest(at, content, media_type))

    def get_repository_tags(self, repository: str, raw: bool = False) -> Any:  # noqa: FBT001, FBT002 - pubtools-quay's
        """Return the tags of `namespace/repository` at the client's host, as a dict or its text.

        Raises HTTPError with the status 404 for a repository that does not exist.
        """
        host = self.host.rpartition("://")[2].rstrip("/")
        tags = self._ask(f"{host}/{repository}", lambda of, _: _tags(of))
        found = {"name": repository, "tags": tags}
        return json.dumps(found) if raw else found

    def _ask_image(self, image: str, act: Callable[[Repository, str], Answer]) -> Answer:
        if not Reference.parse(image).identifier:
            raise ValueError(f"{image!r} has neither a tag nor a digest")
        return self._ask(image, act)

    def _ask(self, image: str, act: Callable[[Repository, str], Answer]) -> Answer:
        reference = Reference.parse(image)
        credentials = Credentials(self.username, self.password) if self.username and self.password else None
        try:
            with open_registries(credentials, credentials) as registries:
                repository = registries.repository(reference.registry, reference.repository, "destination")
                return act(repository, reference.identifier)
        except (RegistryError, DestinationError) as error:
            raise http_error(error) from error


def _headers(fetched: FetchedManifest) -> CaseInsensitiveDict[str]:
    said = {"Content-Type": fetched.media_type, "Content-Length": str(len(fetched.content))}
    return CaseInsensitiveDict(said | {"Docker-Content-Digest": fetched.digest})


def _tags(repository: Repository) -> list[str]:
    tags = repository.tags()
    if not tags and not repository.exists():
        raise NotFound(f"{repository} does not exist.")
    return tags
