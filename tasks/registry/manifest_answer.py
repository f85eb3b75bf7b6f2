"""A manifest in a registry's answer, by headers alone or whole (distribution-spec 1.1, "Pulling manifests")."""

from http import HTTPStatus
from typing import ClassVar, Final

import msgspec

from tasks.discreet import Discreet
from tasks.errors import AddressWrong, ContentMismatch, ManifestInvalid, ResponseInvalid
from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, algorithm_of, digest_of
from tasks.oci.document import media_type_of, own_media_type
from tasks.registry.http.coding import is_coded
from tasks.registry.http.exchange import Response, describe, find_digest
from tasks.registry.http.length import declared_length
from tasks.registry.http.refusal_reasons import is_web_page

_MANIFESTS: Final = media_types.INDEXES | media_types.IMAGES | media_types.SCHEMA1


class FetchedManifest(Discreet, frozen=True):
    """A manifest from a registry, verified against the requested or announced digest."""

    _hidden: ClassVar = frozenset({"content"})

    content: bytes
    media_type: str
    digest: Digest


def described(reference: str, response: Response) -> Descriptor | None:
    """Return the descriptor in the headers of a HEAD, None if they are not enough."""
    digest = find_digest(reference)
    if digest is None:
        announced = find_digest(response.headers.get("Docker-Content-Digest"))
        digest = announced if announced and algorithm_of(announced) == "sha256" else None
    media_type = media_types.essence(response.headers.get("Content-Type"))
    # The length of a compressed answer is not that of the manifest.
    # Some registries declare the length of a HEAD's own body: none.
    size = None if is_coded(response.headers.get("Content-Encoding")) else declared_length(response.headers) or None
    known = response.status == HTTPStatus.OK and media_type in _MANIFESTS
    return Descriptor(media_type, digest, size) if known and digest is not None and size is not None else None


def fetched(repository: str, reference: str, response: Response) -> FetchedManifest:
    """Return the manifest of an answer, for a tag with its sha256; `repository` is the name in messages.

    Raises ContentMismatch, ManifestInvalid, AddressWrong for a web page, and ResponseInvalid if the answer for a
    tag contradicts the manifest's own mediaType ("The Content-Type header must match").
    """
    content, content_type = response.content, response.headers.get("Content-Type")
    if media_types.essence(content_type) not in _MANIFESTS and is_web_page(content, content_type):
        raise AddressWrong(f"{describe('GET', response.url)} answered with a web page instead of a manifest.")
    asked = find_digest(reference)
    wanted = asked or find_digest(response.headers.get("Docker-Content-Digest"))
    if wanted is None or wanted == digest_of(content, algorithm_of(wanted)):
        media_type = media_type_of(content, content_type)
        if asked is None:
            _check_type(f"{repository}:{reference}", content, content_type)
        return FetchedManifest(content, media_type, asked or digest_of(content))
    # The digest of a signed schema 1 manifest is that of its payload; such a manifest is not used anyway. A document
    # with another mediaType of its own is no such manifest, whatever the header says.
    signed = media_types.DOCKER_SCHEMA1_SIGNED
    if wanted and media_types.essence(content_type) == signed and media_type_of(content, content_type) == signed:
        return FetchedManifest(content, signed, wanted)
    raise ContentMismatch(f"{repository} served a manifest for {reference} that is not {wanted}.")


class _Listing(msgspec.Struct):
    """The number of a manifest's entries, without their content."""

    manifests: list[msgspec.Raw] | None = None


def check_entries(reference: str, found: FetchedManifest, most: int) -> None:
    """Raise ManifestInvalid for an index with more than `most` entries."""
    try:
        entries = msgspec.json.decode(found.content, type=_Listing).manifests or ()
    except (msgspec.MsgspecError, RecursionError):
        # The parser of the manifest reports the fault.
        return
    if len(entries) > most:
        raise ManifestInvalid(
            f"{reference} is an index of {len(entries)} entries; at most {most} are read (http.index_entries)."
        )


def _check_type(reference: str, content: bytes, content_type: str | None) -> None:
    served, own = media_types.essence(content_type), own_media_type(content)
    if served != own and served in _MANIFESTS and own in _MANIFESTS:
        raise ResponseInvalid(f"{reference} is served as {served}, though the manifest says that it is {own}.")
