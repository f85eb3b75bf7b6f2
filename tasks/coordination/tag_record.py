"""The stored form of the writes at a tag, and its lifetime (BEHAVIOUR 7.6). Pure.

A record is a set of fields: `last` for the last verified write, `writer` for who wrote it. Each write under way has a
field, named by its digest and its writer, with the value of `last` when it was announced, and one more once it begins,
with the value `landed` once somebody else saw its digest at the tag.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from tasks.transfer.ports import TagRecord, Writer, Written

LAST: Final = "last"
WRITER: Final = "writer"
_BEGUN: Final = "begun"
LANDED: Final = "landed"
# A write of ours that stood still for longer than this counts as someone else's.
RECORD_SECONDS: Final = 86_400
# The bytes are needed if a registry drops a manifest without a tag; later such a write ends as a conflict.
BYTES_SECONDS: Final = 3_600
# Registries take no larger manifests.
MOST_BYTES: Final = 4 << 20

Fields = Mapping[str, str]


def under_way(digest: str, writer: Writer) -> str:
    """Return the field of a write under way."""
    return f"{digest} {named(writer)}"


def begun(digest: str, writer: Writer) -> str:
    """Return the field of a write that has begun."""
    return f"{_BEGUN} {under_way(digest, writer)}"


def named(writer: Writer) -> str:
    """Return a writer as text."""
    return f"{writer.delivery} {writer.push_id}".strip()


def _writer(text: str) -> Writer | None:
    """Return the writer in a text, None for one that belongs to no push."""
    delivery, _, push_id = text.partition(" ")
    return Writer(push_id, delivery) if push_id else None


def record_of(fields: Fields) -> TagRecord:
    """Return the record in the fields."""
    announced: dict[str, set[str | None]] = {}
    for name, last in fields.items():
        if name not in {LAST, WRITER} and not name.startswith(f"{_BEGUN} "):
            announced.setdefault(name.partition(" ")[0], set()).add(last or None)
    return TagRecord(
        fields.get(LAST),
        {digest: frozenset(lasts) for digest, lasts in announced.items()},
        _writer(fields.get(WRITER, "")),
        _writers(name for name in fields if not name.startswith(f"{_BEGUN} ")),
        _writers(name.removeprefix(f"{_BEGUN} ") for name in fields if name.startswith(f"{_BEGUN} ")),
        frozenset(
            name.split(" ")[1] for name, value in fields.items() if name.startswith(f"{_BEGUN} ") and value == LANDED
        ),
    )


def _writers(names: Iterable[str]) -> dict[str, frozenset[Writer]]:
    """Return the pushes' writers of each digest, by the names of fields."""
    found: dict[str, set[Writer]] = {}
    for name in names:
        digest, _, text = name.partition(" ")
        writer = _writer(text)
        if writer is not None:
            found.setdefault(digest, set()).add(writer)
    return {digest: frozenset(writers) for digest, writers in found.items()}


def pack(written: Written) -> bytes:
    """Encode a write as one value: its digest and media type on a line each, then its bytes."""
    return b"\n".join((written.digest.encode(), written.media_type.encode(), written.content))


def unpack(value: bytes) -> Written | None:
    """Decode a write from a value of `pack`, None for anything else."""
    parts = value.split(b"\n", 2)
    if len(parts) != 3:  # noqa: PLR2004 - digest, media type, bytes
        return None
    digest, media_type, content = parts
    return Written(digest.decode("ascii", "replace"), media_type.decode("ascii", "replace"), content)


def encode(fields: Fields, written: Written | None) -> bytes:
    """Encode the fields as one line of JSON, followed by the last write if its bytes are kept."""
    kept = pack(written) if written is not None and len(written.content) <= MOST_BYTES else b""
    return msgspec.json.encode(fields) + b"\n" + kept


def decode(value: bytes) -> tuple[dict[str, str], Written | None]:
    """Decode the fields and the write from a value of `encode`; anything else gives no fields and no write."""
    line, _, rest = value.partition(b"\n")
    try:
        return msgspec.json.decode(line, type=dict[str, str]), unpack(rest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}, None
