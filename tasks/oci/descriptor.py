"""Descriptors (image-spec descriptor.md) and the index entries that extend them (image-index.md, `manifests`)."""

from typing import Any, Final, TypeVar

import msgspec

from tasks.oci.digest import Digest, parse_digest
from tasks.oci.platform import Platform, PlatformDocument

REFERENCE_DIGEST: Final = "vnd.docker.reference.digest"
UNKNOWN_SIZE: Final = -1


_NULL: Final = msgspec.Raw(b"null")

_Value = TypeVar("_Value")


class _Descriptor(msgspec.Struct, rename={"media_type": "mediaType"}):
    """A descriptor in JSON: null counts as absent, except for the digest (BEHAVIOUR 2.4).

    A copy needs none of the last three: a value of another type counts as absent too.
    """

    digest: str
    size: int | None = None
    media_type: str | None = None
    platform: msgspec.Raw = _NULL
    annotations: msgspec.Raw = _NULL
    urls: msgspec.Raw = _NULL


_decoder: Final = msgspec.json.Decoder(_Descriptor)
_platforms: Final = msgspec.json.Decoder(PlatformDocument | None)
_annotations: Final = msgspec.json.Decoder(dict[str, Any] | None)
_urls: Final = msgspec.json.Decoder(list[str | None] | None)


def _read(decoder: "msgspec.json.Decoder[_Value | None]", text: msgspec.Raw) -> _Value | None:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        return None


class Descriptor(msgspec.Struct, frozen=True, eq=False):
    """A manifest's description of one piece of content; `raw` is its original JSON text.

    `size` is in bytes, UNKNOWN_SIZE if absent or negative. `subject` is the digest in an annotation that names the
    subject; it is not verified, and only for comparison with digests. `platform_unknown` marks an image whose
    configuration was read and names no platform (`tasks.oci.details`). Two descriptors that say the same are equal,
    whatever their text.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    subject: str | None = None
    urls: tuple[str, ...] = ()
    platform_unknown: bool = False
    raw: bytes = b""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descriptor) and self._said() == other._said()

    def __hash__(self) -> int:
        return hash(self._said())

    def _said(self) -> tuple[object, ...]:
        return (
            self.media_type,
            self.digest,
            self.size,
            self.platform,
            self.subject,
            self.urls,
            self.platform_unknown,
        )

    @classmethod
    def parse(cls, raw: bytes) -> "Descriptor":
        """Parse one descriptor from its JSON text; raises ValueError, which includes msgspec's errors."""
        document = _decoder.decode(raw)
        platform = _read(_platforms, document.platform)
        subject = (_read(_annotations, document.annotations) or {}).get(REFERENCE_DIGEST)
        return cls(
            media_type=document.media_type or "",
            digest=parse_digest(document.digest),
            # Go's libraries write -1 for a size that they do not know.
            size=UNKNOWN_SIZE if document.size is None or document.size < 0 else document.size,
            platform=platform.read() if platform else None,
            subject=subject if subject and isinstance(subject, str) else None,
            urls=tuple(url for url in _read(_urls, document.urls) or () if url),
            raw=raw,
        )

    @classmethod
    def of_image(cls, media_type: str, digest: Digest, size: int, platform: Platform) -> "Descriptor":
        """Describe an image as an entry of an index."""
        said = msgspec.to_builtins(PlatformDocument.of(platform))
        shown = {key: value for key, value in said.items() if value is not None}
        document = {"mediaType": media_type, "digest": digest, "size": size, "platform": shown}
        return cls(media_type, digest, size, platform, raw=msgspec.json.encode(document))

    def fits(self, size: int) -> bool:
        """Tell whether content of `size` bytes may be the described one."""
        return self.size in {size, UNKNOWN_SIZE}
