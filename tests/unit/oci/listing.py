"""Indexes in a line: entries named by a word, whose digest is that of the word."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from tasks.oci import media_types
from tasks.oci.details import Details, with_details
from tasks.oci.digest import Digest
from tasks.oci.index import Index, parse_index

ATTESTS = "vnd.docker.reference.digest"


def named(word: str) -> Digest:
    """Return the digest that stands for `word`."""
    return Digest(f"sha256:{hashlib.sha256(word.encode()).hexdigest()}")


def platform(text: str) -> dict[str, Any]:
    """Return `os/architecture[/variant][:os.version]` as JSON says it."""
    text, _, version = text.partition(":")
    parts = dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))
    return parts | ({"os.version": version} if version else {})


def image(word: str, runs_on: str | None, *, docker: bool = False, **fields: Any) -> dict[str, Any]:
    """Return the entry of an image; without `runs_on` it has no platform."""
    media_type = media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST
    shown = {} if runs_on is None else {"platform": platform(runs_on)}
    return {"mediaType": media_type, "digest": named(word), "size": len(word)} | shown | fields


def attestation(word: str, subject: str) -> dict[str, Any]:
    """Return the entry of an attestation of the image named `subject`."""
    return image(word, "unknown/unknown", annotations={ATTESTS: named(subject)})


def text(entries: Iterable[dict[str, Any]], media_type: str = media_types.OCI_INDEX, **fields: Any) -> bytes:
    """Return an index as a registry may serve it."""
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": list(entries)} | fields).encode()


def index(*entries: dict[str, Any], media_type: str = media_types.OCI_INDEX, **fields: Any) -> Index:
    """Return an index of `entries`."""
    return parse_index(text(entries, media_type, **fields), media_type)


def docker_list(*entries: dict[str, Any], **fields: Any) -> Index:
    """Return a docker manifest list of `entries`."""
    return index(*entries, media_type=media_types.DOCKER_LIST, **fields)


def detailed(listed: Index, **behind: Details) -> Index:
    """Return the index with what lies behind its entries, by the words that name them."""
    known = with_details(listed, {named(word): details for word, details in behind.items()})
    assert isinstance(known, Index)
    return known


def digests(listed: Index) -> list[str]:
    """Return the digests of the entries, in order."""
    return [entry.digest for entry in listed.entries]
