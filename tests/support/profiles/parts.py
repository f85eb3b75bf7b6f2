"""What a registry checks of a manifest before it keeps it: its parts, and the kinds of parts."""

import json
from collections.abc import Iterator
from typing import Literal, NamedTuple

from tests.support import images
from tests.support.profiles.answers import Refusal, Refused, document, error
from tests.support.profiles.profile import MANIFEST_UNKNOWN, ManifestRules
from tests.support.profiles.store import Manifest, Repository, Store
from tests.support.scripted import Answer

UNKNOWN = MANIFEST_UNKNOWN
_OCI_TYPES = frozenset({images.OCI_MANIFEST, images.OCI_INDEX})


class _Missing(NamedTuple):
    kind: Literal["config", "layer", "child"]
    digest: str


def refuse_unfit(
    rules: ManifestRules, store: Store, repository: Repository, manifest: Manifest, *, tagged: bool
) -> None:
    """Raise Refused where a manifest lacks a part, or is of a kind that the profile does not take.

    A part counts as there as long as the registry has its bytes, be it readable or not.
    """
    if manifest.document.get("subject") and rules.subject_refusal is not None:
        raise Refused(rules.subject_refusal.answer())
    if manifest.media_type == images.DOCKER_LIST and not rules.docker_list_of_oci:
        _refuse_oci_children(manifest)
    missing = [*([] if rules.sparse_indexes else _missing_children(repository, manifest))]
    missing += _missing_blobs(repository, manifest)
    if missing:
        raise Refused(_refusal(rules, missing, tagged=tagged))
    if rules.docker_needs_history and manifest.media_type == images.DOCKER_MANIFEST:
        _refuse_without_history(store, manifest)


def _missing_children(repository: Repository, manifest: Manifest) -> Iterator[_Missing]:
    yield from (_Missing("child", digest) for digest in manifest.children() if digest not in repository.manifests)


def _missing_blobs(repository: Repository, manifest: Manifest) -> Iterator[_Missing]:
    config = (manifest.document.get("config") or {}).get("digest")
    for digest in manifest.blobs():
        if digest not in repository.blobs:
            yield _Missing("config" if digest == config else "layer", digest)


def _refusal(rules: ManifestRules, missing: list[_Missing], *, tagged: bool) -> Answer:
    if rules.missing_part == "named":
        words = {"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry"}
        return document(400, {"errors": [words | {"detail": each.digest} for each in missing]})
    kind, digest = missing[0]
    reasons = {
        "config": "Could not load config blob for manifest",
        "child": f"Could not find child manifest with digest {digest}",
    }
    detail = {"message": reasons[kind]} if tagged and kind in reasons else {}
    return error(400, "MANIFEST_INVALID", "manifest invalid", detail)


def _refuse_oci_children(manifest: Manifest) -> None:
    wrong = [each.get("mediaType") for each in manifest.document["manifests"] if each.get("mediaType") in _OCI_TYPES]
    if wrong:
        detail = {"message": f"manifest data does not match schema: '{wrong[0]}' is not a type of a docker list"}
        raise Refused(Refusal(400, "MANIFEST_INVALID", "manifest invalid", detail).answer())


def _refuse_without_history(store: Store, manifest: Manifest) -> None:
    config = json.loads(store.blobs[manifest.document["config"]["digest"]])
    if not config.get("history"):
        detail = {"message": "config data does not match schema: 'history' is a required property"}
        raise Refused(Refusal(400, "MANIFEST_INVALID", "manifest invalid", detail).answer())
