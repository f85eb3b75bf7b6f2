"""The manifests under cosign's tags, to whose lists of layers several signers add. Pure (BEHAVIOUR 9.3).

cosign's tags end in `.sig`, `.att` or `.sbom`; each holds one manifest.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tasks.errors import ManifestInvalid
from tasks.oci import media_types
from tasks.oci.ambiguity import refuse_ambiguous_manifest
from tasks.oci.digest import Digest, algorithm_of, digest_of, encoded_of
from tasks.oci.referrers import Referrer, read_described

COSIGN_SUFFIXES: Final = (".sig", ".att", ".sbom")
# cosign's fixed creation date.
_NO_TIME: Final = "0001-01-01T00:00:00Z"


def cosign_tags(subject: Digest) -> tuple[str, ...]:
    """Return cosign's tags for a digest."""
    return tuple(f"{algorithm_of(subject)}-{encoded_of(subject)}{suffix}" for suffix in COSIGN_SUFFIXES)


def describe_cosign(content: bytes, media_type: str, digest: Digest) -> Referrer:
    """Return the entry of a manifest under one of cosign's tags; raises ManifestInvalid.

    cosign names its kind of content by the media type of the layers, and declares the whole as an image.
    """
    said = read_described(content)
    layer_types = [layer.get("mediaType") for layer in said.layers or ()]
    if media_type not in media_types.IMAGES or said.config is None:
        raise ManifestInvalid(f"{digest} is not a manifest such as cosign keeps under its tags.")
    kinds = [said.artifact_type, *layer_types, said.config.get("mediaType")]
    kind = next((each for each in kinds if isinstance(each, str) and each), "")
    return Referrer(digest=digest, media_type=media_type, size=len(content), artifact_type=kind)


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
