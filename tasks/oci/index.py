"""Indexes and docker manifest lists (image-spec image-index.md; Docker manifest list version 2)."""

from collections.abc import Iterable
from typing import Final

import msgspec

from tasks.errors import ManifestInvalid
from tasks.oci.descriptor import Descriptor

_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entries_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw] | None)


class Index(msgspec.Struct, frozen=True):
    """A list of manifests; `fields` holds the original JSON text of each top-level field."""

    media_type: str
    entries: tuple[Descriptor, ...]
    fields: dict[str, bytes]

    def containing(self, entries: Iterable[Descriptor], media_type: str) -> "Index":
        """Return an index with these entries and media type, and all other top-level fields of this one."""
        entries = tuple(entries)
        listed = b"[" + b",".join(entry.raw for entry in entries) + b"]"
        fields = {"schemaVersion": b"2", "mediaType": msgspec.json.encode(media_type)}
        fields |= {key: text for key, text in self.fields.items() if key not in fields}
        return Index(media_type, entries, fields | {"manifests": listed})

    def encode(self) -> bytes:
        """Return the compact JSON text: each value keeps its text, except for white space between tokens.

        Raises ManifestInvalid for values that are nested too deeply.
        """
        members = (msgspec.json.encode(key) + b":" + text for key, text in self.fields.items())
        try:
            return msgspec.json.format(b"{" + b",".join(members) + b"}", indent=-1)
        except RecursionError:
            raise ManifestInvalid("A field of an index is nested too deeply.") from None


def parse_index(content: bytes, media_type: str) -> Index:
    """Parse an index, whose entries may be null; raises ValueError."""
    fields = {key: bytes(text) for key, text in _decoder.decode(content).items()}
    if "manifests" not in fields:
        raise ValueError("it has no field `manifests`")
    entries = _entries_decoder.decode(fields["manifests"]) or ()
    return Index(media_type, tuple(Descriptor.parse(bytes(entry)) for entry in entries), fields)


def index_of(media_type: str, *entries: Descriptor) -> Index:
    """Return an index with only the required top-level fields."""
    return Index(media_type, (), {}).containing(entries, media_type)
