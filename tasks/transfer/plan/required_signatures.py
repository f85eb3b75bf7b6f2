"""Require valid signatures of an image before the first byte is copied (BEHAVIOUR 9.6)."""

import logging
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from tasks.errors import (
    ContentMismatch,
    ManifestInvalid,
    NotFound,
    ResponseInvalid,
    SettingsInvalid,
    SignatureInvalid,
    SignatureMissing,
)
from tasks.oci import media_types
from tasks.oci.cosign_tags import cosign_tags
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.document import parse_document
from tasks.oci.index import Index
from tasks.oci.manifest import Manifest
from tasks.oci.referrers import fallback_tag, parse_list
from tasks.oci.signatures import BUNDLE, SIGNATURE, SIMPLE_SIGNING, SignaturePolicy, bundle_signs, signs
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.keyless import TrustRoot

LOG: Final = logging.getLogger(__name__)
_MOST_BYTES: Final = 4 * 1024 * 1024
_MOST_SIGNATURES: Final = 200


class _Annotated(msgspec.Struct):
    annotations: dict[str, str | None] | None = None


def require_signature(
    repository: Repository, image: SourceImage, policies: Sequence[SignaturePolicy], trust: TrustRoot | None = None
) -> None:
    """Raise an error unless the signatures of the pushed digest meet each policy; identities need a trust root.

    Raises SignatureMissing, SignatureInvalid, SettingsInvalid, RegistryError.
    """
    for policy in policies:
        if policy.identities and trust is None:
            raise SettingsInvalid(
                "The identity of a signer cannot be verified: signatures.trusted_root names no trust root."
            )
        try:
            _require(repository, image.original_digest, policy, trust)
        except (SignatureMissing, SignatureInvalid):
            entries = image.document.entries if isinstance(image.document, Index) else ()
            if policy.index != "children" or not entries:
                raise
            for entry in entries:
                _require(repository, entry.digest, policy, trust)


def _require(repository: Repository, digest: Digest, policy: SignaturePolicy, trust: TrustRoot | None) -> None:
    found = 0
    for is_valid in _judged(repository, digest, policy, trust):
        if is_valid:
            return
        found += 1
        if found >= _MOST_SIGNATURES:
            break
    if found:
        signatures = "1 signature, but not" if found == 1 else f"{found} signatures, none"
        raise SignatureInvalid(f"{repository}@{digest} has {signatures} by a key or identity that is asked for.")
    raise SignatureMissing(f"{repository}@{digest} has no signature.")


def _judged(repository: Repository, digest: Digest, policy: SignaturePolicy, trust: TrustRoot | None) -> Iterator[bool]:
    """Yield for each signature of a digest whether it is one that is asked for: first cosign's tag, then bundles."""
    keys, identities = policy.keys, policy.identities
    trust = trust if identities else None
    for layer in _layers(_find(repository, cosign_tags(digest)[0])):
        if layer.media_type == SIMPLE_SIGNING:
            payload = _read(repository, layer)
            said = msgspec.json.decode(layer.raw, type=_Annotated).annotations or {}
            by_key = signs(payload, said.get(SIGNATURE) or "", digest, keys)
            yield by_key or (trust is not None and trust.signs_payload(payload, said, digest, identities))
    for each in _bundles(repository, digest):
        for layer in _layers(_find(repository, each)):
            if layer.media_type == BUNDLE:
                bundle = _read(repository, layer)
                by_key = bundle_signs(bundle, digest, keys)
                yield by_key or (trust is not None and trust.signs(bundle, digest, identities))


def _read(repository: Repository, layer: Descriptor) -> bytes:
    """Return the content of a layer, b"" if the source has it not, serves other bytes, or serves too many."""
    try:
        return repository.read_blob(layer, _MOST_BYTES)
    except (NotFound, ContentMismatch, ResponseInvalid) as error:
        LOG.warning("A signature in %s cannot be read: %s", repository, error)
        return b""


def _bundles(repository: Repository, digest: Digest) -> list[Digest]:
    listed = repository.referrers(digest, BUNDLE)
    if listed is None:
        fallback = _find(repository, fallback_tag(digest))
        try:
            # GitLab answers for an absent list with the manifest of the digest in its name.
            is_list = fallback is not None and fallback.media_type in media_types.INDEXES and fallback.digest != digest
            listed = parse_list(fallback.content) if fallback is not None and is_list else []
        except ValueError:
            listed = []
    # An entry may lack its type: then its layers tell.
    return [each.digest for each in listed if each.artifact_type in {BUNDLE, ""}]


def _find(repository: Repository, reference: str) -> FetchedManifest | None:
    try:
        return repository.fetch_manifest(reference)
    except (NotFound, ManifestInvalid):
        return None


def _layers(fetched: FetchedManifest | None) -> tuple[Descriptor, ...]:
    if fetched is None:
        return ()
    try:
        document = parse_document(fetched.content, fetched.media_type)
    except ManifestInvalid:
        return ()
    return document.layers if isinstance(document, Manifest) else ()
