"""Image manifests (image-spec manifest.md; Docker image manifest version 2, schema 2)."""

from typing import Final

import msgspec

from tasks.oci.descriptor import Descriptor
from tasks.oci.platform import Platform, PlatformDocument


class Manifest(msgspec.Struct, frozen=True):
    """One image or artifact: its configuration if it names one, its layers, and its subject if any."""

    media_type: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None


_NULL: Final = msgspec.Raw(b"null")


class _Manifest(msgspec.Struct):
    manifests: msgspec.Raw = _NULL
    config: msgspec.Raw = _NULL
    layers: list[msgspec.Raw] | None = None
    subject: msgspec.Raw = _NULL


class _Named(msgspec.Struct):
    """An object that may lack its digest."""

    digest: str | None = None


_decoder: Final = msgspec.json.Decoder(_Manifest)
_named_decoder: Final = msgspec.json.Decoder(_Named | None)
_config_decoder: Final = msgspec.json.Decoder(PlatformDocument)


def parse_manifest(content: bytes, media_type: str) -> Manifest:
    """Parse an image manifest; raises ValueError."""
    document = _decoder.decode(content)
    if document.manifests != _NULL:
        raise ValueError("it is an index")
    return Manifest(
        media_type,
        _config(bytes(document.config)),
        tuple(Descriptor.parse(bytes(layer)) for layer in document.layers or ()),
        _subject(bytes(document.subject)),
    )


def platform_of_config(content: bytes) -> Platform:
    """Parse the platform of an image configuration, `known` or not (image-spec config.md); raises ValueError."""
    return _config_decoder.decode(content).said()


def _config(raw: bytes) -> Descriptor | None:
    """Return the configuration, None for one without digest: there is nothing to copy (BEHAVIOUR 2.4)."""
    named = _named_decoder.decode(raw)
    return Descriptor.parse(raw) if named is not None and named.digest else None


def _subject(raw: bytes) -> Descriptor | None:
    """Return the subject, None for one without digest: a copy does not need the subject (BEHAVIOUR 2.4)."""
    try:
        return Descriptor.parse(raw)
    except ValueError:
        return None
