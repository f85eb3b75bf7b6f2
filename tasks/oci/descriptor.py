"""Descriptors (image-spec descriptor.md) and the index entries that extend them (image-index.md, `manifests`)."""

from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from tasks.oci.digest import Digest, parse_digest
from tasks.oci.platform import Platform, PlatformDocument

REFERENCE_DIGEST: Final = "vnd.docker.reference.digest"
UNKNOWN_SIZE: Final = -1


class _Descriptor(msgspec.Struct, rename={"media_type": "mediaType"}):
    """A descriptor in JSON: null counts as absent, except for the digest (BEHAVIOUR 2.4)."""

    digest: str
    size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    media_type: str | None = None
    platform: PlatformDocument | None = None
    annotations: dict[str, str | None] | None = None
    urls: list[str | None] | None = None


_decoder: Final = msgspec.json.Decoder(_Descriptor)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A manifest's description of one piece of content; `raw` is its original JSON text.

    `size` is in bytes, UNKNOWN_SIZE if absent. `subject` is the digest in an annotation that names the subject; it is
    not verified, and only for comparison with digests. `platform_unknown` marks an image whose configuration was read
    and names no platform (`tasks.oci.details`).
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    subject: str | None = None
    urls: tuple[str, ...] = ()
    platform_unknown: bool = False
    raw: bytes = field(default=b"", repr=False, compare=False)

    @classmethod
    def parse(cls, raw: bytes) -> "Descriptor":
        """Parse one descriptor from its JSON text; raises ValueError, which includes msgspec's errors."""
        document = _decoder.decode(raw)
        return cls(
            media_type=document.media_type or "",
            digest=parse_digest(document.digest),
            size=UNKNOWN_SIZE if document.size is None else document.size,
            platform=document.platform.read() if document.platform else None,
            subject=(document.annotations or {}).get(REFERENCE_DIGEST) or None,
            urls=tuple(url for url in document.urls or () if url),
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
