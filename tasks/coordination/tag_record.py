"""The form in which the writes at a tag are kept, and for how long (BEHAVIOUR 7.6). Pure.

A record is a set of fields: `last` for the last write that was verified, and one for each write under way, named by its
digest and its writer, with the value that `last` had when it was begun.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from tasks.transfer.ports import TagRecord, Written

LAST: Final = "last"
# A writer that stood still for longer than this is not told from someone else.
RECORD_SECONDS: Final = 86_400
# The bytes are needed where a registry drops a manifest that no tag holds; later such a write ends as a conflict.
BYTES_SECONDS: Final = 3_600
# No registry takes larger manifests.
MOST_BYTES: Final = 4 << 20

Fields = Mapping[str, str]


def under_way(digest: str, writer: str) -> str:
    """Return the field of a write that was begun."""
    return f"{digest} {writer}"


def record_of(fields: Fields) -> TagRecord:
    """Return the record that the fields hold."""
    begun: dict[str, set[str | None]] = {}
    for name, last in fields.items():
        if name != LAST:
            begun.setdefault(name.partition(" ")[0], set()).add(last or None)
    return TagRecord(fields.get(LAST), {digest: frozenset(lasts) for digest, lasts in begun.items()})


def pack(written: Written) -> bytes:
    """Return a write as one value: its digest and media type in a line each, then its bytes."""
    return b"\n".join((written.digest.encode(), written.media_type.encode(), written.content))


def unpack(value: bytes) -> Written | None:
    """Return the write that `pack` made a value of, None for anything else."""
    parts = value.split(b"\n", 2)
    if len(parts) != 3:  # noqa: PLR2004 - digest, media type, bytes
        return None
    digest, media_type, content = parts
    return Written(digest.decode("ascii", "replace"), media_type.decode("ascii", "replace"), content)


def encode(fields: Fields, written: Written | None) -> bytes:
    """Return the fields as one line of JSON, followed by the last write, if its bytes are to be kept."""
    kept = pack(written) if written is not None and len(written.content) <= MOST_BYTES else b""
    return msgspec.json.encode(fields) + b"\n" + kept


def decode(value: bytes) -> tuple[dict[str, str], Written | None]:
    """Return the fields and the write that `encode` made a value of; nothing for anything else."""
    line, _, rest = value.partition(b"\n")
    try:
        return msgspec.json.decode(line, type=dict[str, str]), unpack(rest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}, None
