"""Small images: an index with one image for each platform, of one base layer and one of its own; and signatures."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_EMPTY: Final = "application/vnd.oci.empty.v1+json"
_SIGNATURE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
PLATFORMS: Final = ("linux/amd64", "linux/arm64", "linux/s390x", "linux/ppc64le")


@dataclass(frozen=True)
class Image:
    """A manifest with its blobs."""

    digest: str
    content: bytes
    media_type: str
    blobs: tuple[tuple[str, bytes], ...] = ()
    members: tuple["Image", ...] = ()
    platforms: tuple[tuple[str, str], ...] = ()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@cache
def image(platform: str, version: str) -> Image:
    """Return the image of one platform in one version."""
    system, architecture = platform.split("/")
    blobs = (
        json.dumps({"os": system, "architecture": architecture, "version": version}).encode(),
        b"base layer",
        f"layer of {platform} {version}".encode(),
    )
    media_types = (_CONFIG, _LAYER, _LAYER)
    config, *layers = [_descriptor(kind, blob) for kind, blob in zip(media_types, blobs, strict=True)]
    content = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).encode()
    return Image(digest_of(content), content, MANIFEST, tuple((digest_of(blob), blob) for blob in blobs))


@cache
def index(platforms: tuple[str, ...], version: str) -> Image:
    """Return the index of some platforms in one version."""
    members = tuple(image(platform, version) for platform in platforms)
    entries = [
        _descriptor(MANIFEST, member.content)
        | {"platform": dict(zip(("os", "architecture"), platform.split("/"), strict=True))}
        for platform, member in zip(platforms, members, strict=True)
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    blobs = tuple(blob for member in members for blob in member.blobs)
    held = tuple((platform, member.digest) for platform, member in zip(platforms, members, strict=True))
    return Image(digest_of(content), content, INDEX, blobs, members, held)


@cache
def referrer(subject: Image, signer: str) -> Image:
    """Return a manifest by which a signer refers to an image, as OCI 1.1 has it."""
    blobs = (b"{}", f"{signer} refers to {subject.digest}".encode())
    config, layer = _descriptor(_EMPTY, blobs[0]), _descriptor("text/plain", blobs[1])
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": f"application/vnd.example.{signer}",
        "config": config,
        "layers": [layer],
        "subject": _descriptor(subject.media_type, subject.content),
    }
    return _with_blobs(document, blobs)


@cache
def cosign(subject: Image, signers: tuple[str, ...]) -> Image:
    """Return the manifest of signatures as cosign keeps it under a tag: one layer for each signer."""
    layers = tuple(f"{signer} signs {subject.digest}".encode() for signer in signers)
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(_CONFIG, config),
        "layers": [_descriptor(_SIGNATURE, layer) for layer in layers],
    }
    return _with_blobs(document, (config, *layers))


def fallback(entries: Iterable[Image]) -> Image:
    """Return the index that lists some referrers under the tag of their subject."""
    listed = [
        _descriptor(MANIFEST, each.content) | {"artifactType": json.loads(each.content)["artifactType"]}
        for each in entries
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
    return Image(digest_of(content), content, INDEX)


def list_tag(digest: str, suffix: str = "") -> str:
    """Return the tag under which clients look for what refers to a digest: `.sig` is cosign's."""
    return digest.replace(":", "-") + suffix


def listed_in(content: bytes | None) -> frozenset[str]:
    """Return what a list holds: the digests of its manifests, or of its layers."""
    document = json.loads(content or b"{}")
    return frozenset(each["digest"] for each in [*document.get("manifests", ()), *document.get("layers", ())])


def platforms_of(content: bytes | None) -> Mapping[str, str] | None:
    """Return the digests of an index by platform, None for no content."""
    if content is None:
        return None
    document: dict[str, Any] = json.loads(content)
    if "manifests" not in document:
        return {"single": digest_of(content)}
    return {
        f"{entry['platform']['os']}/{entry['platform']['architecture']}": entry["digest"]
        for entry in document["manifests"]
        if "platform" in entry
    }


def _with_blobs(document: Mapping[str, Any], blobs: tuple[bytes, ...]) -> Image:
    content = json.dumps(document).encode()
    return Image(digest_of(content), content, MANIFEST, tuple((digest_of(blob), blob) for blob in blobs))


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
