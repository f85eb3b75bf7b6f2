"""Image manifests (image-spec manifest.md; Docker image manifest version 2, schema 2)."""

from typing import Final

import msgspec

from tasks.oci.descriptor import Descriptor
from tasks.oci.platform import Platform, PlatformDocument


class Manifest(msgspec.Struct, frozen=True):
    """One image or artifact: its configuration, its layers, and its subject if any."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None


class _Manifest(msgspec.Struct):
    config: msgspec.Raw
    layers: list[msgspec.Raw] | None = None
    subject: msgspec.Raw = msgspec.Raw(b"null")


_decoder: Final = msgspec.json.Decoder(_Manifest)
_config_decoder: Final = msgspec.json.Decoder(PlatformDocument)


def parse_manifest(content: bytes, media_type: str) -> Manifest:
    """Parse an image manifest; raises ValueError."""
    document = _decoder.decode(content)
    return Manifest(
        media_type,
        Descriptor.parse(bytes(document.config)),
        tuple(Descriptor.parse(bytes(layer)) for layer in document.layers or ()),
        _subject(bytes(document.subject)),
    )


def platform_of_config(content: bytes) -> Platform:
    """Parse the platform of an image configuration, `known` or not (image-spec config.md); raises ValueError."""
    return _config_decoder.decode(content).said()


def _subject(raw: bytes) -> Descriptor | None:
    """Return the subject, None for one without digest: a copy does not need the subject (BEHAVIOUR 2.4)."""
    try:
        return Descriptor.parse(raw)
    except ValueError:
        return None
