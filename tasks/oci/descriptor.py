"""Descriptors (image-spec descriptor.md) and the index entries that extend them (image-index.md, `manifests`)."""

from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from tasks.oci.digest import Digest, parse_digest
from tasks.oci.platform import Platform, PlatformDocument

REFERENCE_DIGEST: Final = "vnd.docker.reference.digest"


class _Descriptor(msgspec.Struct, rename={"media_type": "mediaType"}):
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    media_type: str = ""
    platform: PlatformDocument | None = None
    annotations: dict[str, str] | None = None
    urls: list[str] | None = None


_decoder: Final = msgspec.json.Decoder(_Descriptor)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of one piece of content; `raw` is the JSON text in which it was said.

    `subject` is what its annotation says that it refers to, for comparing with digests: nobody has verified it.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    subject: str | None = None
    urls: tuple[str, ...] = ()
    raw: bytes = field(default=b"", repr=False, compare=False)

    @classmethod
    def parse(cls, raw: bytes) -> "Descriptor":
        """Read one descriptor from its JSON text; raises ValueError (msgspec's errors are such)."""
        document = _decoder.decode(raw)
        return cls(
            media_type=document.media_type,
            digest=parse_digest(document.digest),
            size=document.size,
            platform=document.platform.read() if document.platform else None,
            subject=(document.annotations or {}).get(REFERENCE_DIGEST) or None,
            urls=tuple(document.urls or ()),
            raw=raw,
        )

    @classmethod
    def of_image(cls, media_type: str, digest: Digest, size: int, platform: Platform) -> "Descriptor":
        """Describe an image as an entry of an index."""
        said = msgspec.to_builtins(PlatformDocument.of(platform))
        shown = {key: value for key, value in said.items() if value is not None}
        document = {"mediaType": media_type, "digest": digest, "size": size, "platform": shown}
        return cls(media_type, digest, size, platform, raw=msgspec.json.encode(document))
