"""The referrers of an image: those of OCI 1.1, and those under cosign's tags. Pure (BEHAVIOUR section 9).

A fallback index is tagged `sha256-HEX` (distribution-spec 1.1, "Referrers Tag Schema"). cosign's tags end in `.sig`,
`.att` or `.sbom`; each holds one manifest to whose list of layers several signers add.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec

from tasks.errors import ManifestInvalid
from tasks.oci import media_types
from tasks.oci.ambiguity import refuse_ambiguous_manifest
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, algorithm_of, digest_of, encoded_of, parse_digest
from tasks.oci.index import Index, index_of, parse_index

COSIGN_SUFFIXES: Final = (".sig", ".att", ".sbom")
_LONGEST_ALGORITHM: Final = 32
_LONGEST_HEX: Final = 64
# cosign's fixed creation date.
_NO_TIME: Final = "0001-01-01T00:00:00Z"


class Referrer(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest with a subject, as described by an entry of a list of referrers."""

    digest: Digest
    media_type: str
    size: int
    artifact_type: str = ""
    annotations: dict[str, str] = {}

    @property
    def entry(self) -> Descriptor:
        """Return the entry of a fallback index for this manifest."""
        said: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        said |= {"artifactType": self.artifact_type} if self.artifact_type else {}
        said |= {"annotations": self.annotations} if self.annotations else {}
        return Descriptor.parse(msgspec.json.encode(said))


class _Entry(msgspec.Struct, rename="camel"):
    digest: str
    size: int
    media_type: str
    artifact_type: str | None = None
    annotations: dict[str, str | None] | None = None


class _List(msgspec.Struct):
    manifests: list[_Entry] | None


class _Described(msgspec.Struct, rename="camel"):
    """The fields of a manifest that the entry of a referrer repeats."""

    artifact_type: str | None = None
    annotations: dict[str, str | None] | None = None
    config: dict[str, Any] | None = None
    layers: list[dict[str, Any]] | None = None
    subject: dict[str, Any] | None = None


_list_decoder: Final = msgspec.json.Decoder(_List)
_described_decoder: Final = msgspec.json.Decoder(_Described)


def fallback_tag(subject: Digest) -> str:
    """Return the tag of the fallback index of a digest, for registries without a referrers API."""
    return f"{algorithm_of(subject)[:_LONGEST_ALGORITHM]}-{encoded_of(subject)[:_LONGEST_HEX]}"


def cosign_tags(subject: Digest) -> tuple[str, ...]:
    """Return cosign's tags for a digest."""
    return tuple(f"{algorithm_of(subject)}-{encoded_of(subject)}{suffix}" for suffix in COSIGN_SUFFIXES)


def parse_list(content: bytes) -> list[Referrer]:
    """Parse an answer of the referrers API or a fallback index; raises ValueError.

    Text that other clients may read differently is no list (BEHAVIOUR 2.3).
    """
    try:
        refuse_ambiguous_manifest(content)
    except ManifestInvalid as error:
        raise ValueError(error.message) from None
    return [
        Referrer(
            digest=parse_digest(entry.digest),
            media_type=entry.media_type,
            size=entry.size,
            artifact_type=entry.artifact_type or "",
            annotations={key: text for key, text in (entry.annotations or {}).items() if text is not None},
        )
        for entry in _list_decoder.decode(content).manifests or ()
    ]


def describe(content: bytes, media_type: str, digest: Digest) -> tuple[Referrer, str | None]:
    """Return a manifest's entry for lists of referrers, and the digest of its subject; raises ManifestInvalid.

    The artifactType is that of the manifest, else its configuration's media type ("Pushing Manifests with Subject").
    """
    said = _read(content)
    config_type = (said.config or {}).get("mediaType")
    subject = (said.subject or {}).get("digest")
    described = Referrer(
        digest=digest,
        media_type=media_type,
        size=len(content),
        artifact_type=said.artifact_type or (config_type if isinstance(config_type, str) else ""),
        annotations={key: text for key, text in (said.annotations or {}).items() if text is not None},
    )
    return described, subject if isinstance(subject, str) else None


def describe_cosign(content: bytes, media_type: str, digest: Digest) -> Referrer:
    """Return the entry of a manifest under one of cosign's tags; raises ManifestInvalid.

    cosign names its kind of content by the media type of the layers, and declares the whole as an image.
    """
    said = _read(content)
    layer_types = [layer.get("mediaType") for layer in said.layers or ()]
    if media_type not in media_types.IMAGES or said.config is None:
        raise ManifestInvalid(f"{digest} is not a manifest such as cosign keeps under its tags.")
    kinds = [said.artifact_type, *layer_types, said.config.get("mediaType")]
    kind = next((each for each in kinds if isinstance(each, str) and each), "")
    return Referrer(digest=digest, media_type=media_type, size=len(content), artifact_type=kind)


def with_entries(held: Sequence[bytes], entries: Iterable[Referrer]) -> bytes:
    """Return a fallback index with all entries of the `held` indexes, then `entries`; each digest once.

    If the first index has all entries, it is returned byte for byte. Raises ManifestInvalid.
    """
    for content in held:
        refuse_ambiguous_manifest(content)
    try:
        indexes = [parse_index(content, media_types.OCI_INDEX) for content in held]
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"A list of referrers is not an index: {error}.") from None
    first: Index = indexes[0] if indexes else index_of(media_types.OCI_INDEX)
    known = {entry.digest: entry for index in indexes for entry in reversed(index.entries)}
    order = dict.fromkeys(entry.digest for index in indexes for entry in index.entries)
    for each in entries:
        known.setdefault(each.digest, each.entry)
        order.setdefault(each.digest)
    if held and order.keys() == {entry.digest for entry in first.entries}:
        return held[0]
    return first.containing((known[digest] for digest in order), media_types.OCI_INDEX).encode()


class _Layer(msgspec.Struct, frozen=True):
    """One signature: its text in the manifest, and its identity."""

    raw: bytes
    key: tuple[str, bytes]


class Signatures(msgspec.Struct, frozen=True):
    """The manifest under one of cosign's tags, with its configuration if known."""

    content: bytes
    config: bytes = b""


def unite(held: Sequence[Signatures], ours: Signatures) -> Signatures:
    """Return a manifest with the layers of all `held` manifests in their order, then those of `ours` (9.3).

    Layers are equal if digest and annotations are equal. A manifest that has all layers already is returned unchanged,
    one of `held` before `ours`. Raises ManifestInvalid.
    """
    parts = [*held, ours]
    layers = [_layers(part.content) for part in parts]
    united = list({layer.key: layer for each in layers for layer in each}.values())
    keys = {layer.key for layer in united}
    for part, own in zip(parts, layers, strict=True):
        if {layer.key for layer in own} == keys:
            return part
    config = _united_config(parts, layers, [layer.key for layer in united])
    fields = _fields(parts[0].content)
    fields["layers"] = b"[" + b",".join(layer.raw for layer in united) + b"]"
    if config:
        described = msgspec.json.decode(fields["config"], type=dict[str, Any])
        fields["config"] = msgspec.json.encode(described | {"digest": digest_of(config), "size": len(config)})
    members = (msgspec.json.encode(key) + b":" + text for key, text in fields.items())
    return Signatures(b"{" + b",".join(members) + b"}", config)


def lacking(held: bytes, ours: bytes) -> bool:
    """Tell whether the manifest `held` lacks layers of `ours`; raises ManifestInvalid."""
    return bool({layer.key for layer in _layers(ours)} - {layer.key for layer in _layers(held)})


def is_chosen(referrer: Referrer, types: Collection[str]) -> bool:
    """Tell whether a referrer has one of the artifact types; () stands for all types."""
    return not types or referrer.artifact_type in types


def _layers(content: bytes) -> list[_Layer]:
    refuse_ambiguous_manifest(content)
    try:
        raws = msgspec.json.decode(_fields(content)["layers"], type=list[msgspec.Raw])
        found = []
        for raw in raws:
            said = msgspec.json.decode(raw, type=dict[str, Any])
            key = (str(said["digest"]), msgspec.json.encode(said.get("annotations") or {}, order="sorted"))
            found.append(_Layer(bytes(raw), key))
    except (KeyError, ValueError, RecursionError) as error:
        raise ManifestInvalid(f"A manifest under a tag of cosign has no list of layers: {error}.") from None
    return found


def _united_config(
    parts: Sequence[Signatures], layers: Sequence[Sequence[_Layer]], order: Sequence[tuple[str, bytes]]
) -> bytes:
    """Return a configuration that names each layer (image-spec config.md, rootfs.diff_ids), b"" without one."""
    try:
        configs = [msgspec.json.decode(part.config, type=dict[str, Any]) for part in parts]
    except (ValueError, RecursionError):
        return b""
    rootfs = configs[0].get("rootfs")
    if not isinstance(rootfs, dict):
        return b""
    named: dict[tuple[str, bytes], tuple[Any, Any]] = {}
    for config, own in zip(configs, layers, strict=True):
        ids = _of_layers((config.get("rootfs") or {}).get("diff_ids"), [layer.key[0] for layer in own])
        history = _of_layers(config.get("history"), [{"created": _NO_TIME}] * len(own))
        for layer, diff_id, made in zip(own, ids, history, strict=True):
            named.setdefault(layer.key, (diff_id, made))
    united = configs[0] | {"rootfs": rootfs | {"diff_ids": [named[key][0] for key in order]}}
    if "history" in united:
        united["history"] = [named[key][1] for key in order]
    return msgspec.json.encode(united)


def _of_layers(said: Any, default: list[Any]) -> list[Any]:
    """Return a configuration's items of the layers if it has one for each layer, else `default`."""
    return said if isinstance(said, list) and len(said) == len(default) else default


def _fields(content: bytes) -> dict[str, bytes]:
    try:
        return {key: bytes(text) for key, text in msgspec.json.decode(content, type=dict[str, msgspec.Raw]).items()}
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"A manifest is not a JSON object: {error}.") from None


def _read(content: bytes) -> _Described:
    refuse_ambiguous_manifest(content)
    try:
        return _described_decoder.decode(content)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"A referrer is not a manifest: {error}.") from None
