"""Deterministic images, indexes and attestations as bytes: the same arguments give the same digests."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
IN_TOTO = "application/vnd.in-toto+json"

REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"

Platform = Mapping[str, Any]
UNKNOWN_PLATFORM: Platform = {"architecture": "unknown", "os": "unknown"}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def platform_of(text: str | Platform) -> Platform:
    """Read `os/architecture[/variant]`; a mapping (for os.version, os.features) stays as it is."""
    if not isinstance(text, str):
        return text
    os, architecture, *variant = text.split("/")
    return {"architecture": architecture, "os": os} | ({"variant": variant[0]} if variant else {})


@dataclass(frozen=True)
class Layer:
    """Hold one blob; without a media type it takes the one that fits its image, with urls it is never uploaded."""

    content: bytes = field(repr=False)
    diff_id: str
    media_type: str | None = None
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return digest_of(self.content)

    def descriptor(self, *, docker: bool) -> dict[str, Any]:
        usual, foreign = (DOCKER_LAYER, DOCKER_FOREIGN_LAYER) if docker else (OCI_LAYER, OCI_FOREIGN_LAYER)
        media_type = self.media_type or (foreign if self.urls else usual)
        return _descriptor(media_type, self.content, annotations=self.annotations, urls=list(self.urls))


@dataclass(frozen=True)
class Image:
    """Hold an image manifest and the blobs that it needs, by digest."""

    manifest: bytes
    media_type: str
    blobs: Mapping[str, bytes] = field(repr=False)
    platform: Platform | None = None
    entry_annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.manifest)
        return document

    def descriptor(self) -> dict[str, Any]:
        """Return the entry that an index has for this image."""
        return _descriptor(self.media_type, self.manifest, annotations=self.entry_annotations, platform=self.platform)


@dataclass(frozen=True)
class Index:
    """Hold an index (or docker manifest list) and the nodes behind its entries, in their order."""

    manifest: bytes
    media_type: str
    members: tuple["Image | Index", ...] = field(repr=False)

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.manifest)
        return document

    def descriptor(self) -> dict[str, Any]:
        return _descriptor(self.media_type, self.manifest)


Node = Image | Index


@dataclass(frozen=True)
class Entry:
    """Put a node into an index under a descriptor of one's own: `fields` are added to, or replace, the usual ones."""

    node: Node
    fields: Mapping[str, Any]

    def descriptor(self) -> dict[str, Any]:
        return self.node.descriptor() | dict(self.fields)


def entry(node: Node, **fields: Any) -> Entry:
    """Give `node` descriptor fields of one's own, say `platform=…`, `annotations=…` or an unknown one."""
    return Entry(node, fields)


def layer(
    seed: int | str,
    size: int,
    *,
    media_type: str | None = None,
    urls: Iterable[str] = (),
    annotations: Mapping[str, str] | None = None,
) -> Layer:
    """Build a gzipped tar with one incompressible file of `size` bytes; the blob is about 10 KiB bigger."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry_header = tarfile.TarInfo(f"data-{seed}")
        entry_header.size = size
        archive.addfile(entry_header, io.BytesIO(random.Random(f"{seed}").randbytes(size)))
    plain = tar.getvalue()
    # Level 0 stores: the bytes do not depend on the compressor's version, and big layers are quick to make.
    content = gzip.compress(plain, compresslevel=0, mtime=0)
    return Layer(content, digest_of(plain), media_type, tuple(urls), annotations or {})


def image(
    platform: str | Platform = "linux/amd64",
    layers: Iterable[Layer] | None = None,
    *,
    docker: bool = False,
    annotations: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Image:
    """Build an image; its config names the platform. `config` and `fields` add keys to config and manifest."""
    described = platform_of(platform)
    chosen = tuple(layers) if layers is not None else (layer(f"only-{json.dumps(described)}", 1000),)
    config_content = encode(
        dict(described)
        | {
            "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in chosen]},
        }
        | dict(config or {})
    )
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    manifest = _manifest(
        media_type,
        _descriptor(DOCKER_CONFIG if docker else OCI_CONFIG, config_content),
        [each.descriptor(docker=docker) for each in chosen],
        annotations,
        fields,
    )
    blobs = {digest_of(config_content): config_content} | {
        each.digest: each.content for each in chosen if not each.urls
    }
    return Image(manifest, media_type, blobs, described)


def source_image(seed: int | str = "source", *, docker: bool = True) -> Image:
    """Build a source image: one manifest whose layers are archives of sources, for whatever platform."""
    archives = [layer(f"{seed}-archive-{number}", 2000) for number in range(3)]
    return image("linux/amd64", archives, docker=docker, config={"comment": f"sources {seed}"})


def attestation(subject: Image, seed: int | str = "statement") -> Image:
    """Build an attestation manifest as BuildKit stores it: its index entry refers to the subject by annotation."""
    statement = encode({"_type": "https://in-toto.io/Statement/v0.1", "subject": subject.digest, "seed": seed})
    only = Layer(
        statement, digest_of(statement), IN_TOTO, (), {"in-toto.io/predicate-type": "https://spdx.dev/Document"}
    )
    made = image(UNKNOWN_PLATFORM, [only])
    refers = {REFERENCE_DIGEST: subject.digest, REFERENCE_TYPE: "attestation-manifest"}
    return Image(made.manifest, made.media_type, made.blobs, UNKNOWN_PLATFORM, refers)


def artifact(content: bytes, artifact_type: str = "application/vnd.example.note", subject: Node | None = None) -> Image:
    """Build an OCI artifact with the empty config, without platform; with a subject it is a referrer."""
    empty = b"{}"
    fields: dict[str, Any] = {"artifactType": artifact_type}
    if subject is not None:
        fields["subject"] = _descriptor(subject.media_type, subject.manifest)
    manifest = _manifest(
        OCI_MANIFEST,
        _descriptor(OCI_EMPTY, empty),
        [_descriptor("application/octet-stream", content)],
        None,
        fields,
    )
    return Image(manifest, OCI_MANIFEST, {digest_of(empty): empty, digest_of(content): content})


def index(
    entries: Iterable[Node | Entry],
    *,
    docker: bool = False,
    annotations: Mapping[str, str] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Index:
    """Build an index of images, attestations and indexes; a value of None in `fields` leaves that key out."""
    listed = tuple(entries)
    media_type = DOCKER_LIST if docker else OCI_INDEX
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [each.descriptor() for each in listed],
    }
    manifest = _encode_with(document, annotations, fields)
    return Index(manifest, media_type, tuple(e.node if isinstance(e, Entry) else e for e in listed))


def like(content: bytes, seed: int | str = "") -> Index:
    """Build an index shaped as a real one: to the letter, but that its entries are nodes made here.

    Annotations that named the digest of an entry name that of the node in its place.
    """
    document = json.loads(content)
    made = {said["digest"]: _standing_in(said, seed) for said in document["manifests"]}
    entries = []
    for said in document["manifests"]:
        node = made[said["digest"]]
        described = said | {"digest": node.digest, "size": len(node.manifest)}
        if "annotations" in said:
            described["annotations"] = {
                key: made[value].digest if value in made else value for key, value in said["annotations"].items()
            }
        entries.append(described)
    manifest = encode(document | {"manifests": entries})
    return Index(manifest, document.get("mediaType", OCI_INDEX), tuple(made.values()))


def _standing_in(said: Mapping[str, Any], seed: int | str) -> Node:
    media_type = said.get("mediaType")
    only = [layer(f"{seed} {said['digest']}", 100)]
    docker = media_type in {DOCKER_MANIFEST, DOCKER_LIST}
    node = image(said.get("platform", UNKNOWN_PLATFORM), only, docker=docker)
    return index([node], docker=docker) if media_type in {OCI_INDEX, DOCKER_LIST} else node


def encode(document: Mapping[str, Any]) -> bytes:
    # Three spaces and sorted nowhere: a copier that re-serialises what it should only copy changes the digest.
    return json.dumps(document, indent=3).encode()


def _manifest(
    media_type: str,
    config: dict[str, Any],
    layers: list[dict[str, Any]],
    annotations: Mapping[str, str] | None,
    fields: Mapping[str, Any] | None,
) -> bytes:
    document = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers}
    return _encode_with(document, annotations, fields)


def _encode_with(
    document: dict[str, Any], annotations: Mapping[str, str] | None, fields: Mapping[str, Any] | None
) -> bytes:
    extended = document | ({"annotations": dict(annotations)} if annotations else {}) | dict(fields or {})
    return encode({key: value for key, value in extended.items() if value is not None})


def _descriptor(media_type: str, content: bytes, **optional: Any) -> dict[str, Any]:
    required = {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
    return required | {key: value for key, value in optional.items() if value}
