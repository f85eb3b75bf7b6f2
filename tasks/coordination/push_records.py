"""The records of pushes: one hash for a push itself, and one for each kind of its records."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from tasks.coordination.hashes import Hashes
from tasks.coordination.tag_ledger import PREFIX
from tasks.errors import ImagePusherError, from_record, to_record

# All pushes, with the time at which each was sent.
PUSHES: Final = f"{PREFIX}pushes"

Record = TypeVar("Record")


class PushRecords:
    """The fields of pushes, as bytes; each write to a push is a sign of life of it."""

    def __init__(self, hashes: Hashes, clock: Callable[[], float]) -> None:
        self._hashes = hashes
        self._clock = clock

    def _now(self) -> bytes:
        return repr(self._clock()).encode()

    def _field(self, push_id: str, field: str) -> bytes | None:
        return self._hashes.fetch((key_of(push_id), field))[0]

    def _put(self, push_id: str, part: str, field: str, value: bytes) -> None:
        """Write one field of a push, and the time of the write."""
        if part:
            self._hashes.put({key_of(push_id, part): {field: value}, key_of(push_id): {"updated": self._now()}})
        else:
            self._hashes.put({key_of(push_id): {field: value, "updated": self._now()}})

    def _records(self, push_id: str, part: str, kind: type[Record]) -> dict[str, Record]:
        found = self._hashes.all(key_of(push_id, part))
        return {field: read(value, kind) for field, value in found.items()}


def key_of(push_id: str, part: str = "") -> str:
    """Return the name of the hash of a push, or of one kind of its records."""
    # Push ids have no slash: the key of one push cannot be that of another one's part.
    return f"{PREFIX}push:{push_id}/{part}" if part else f"{PREFIX}push:{push_id}"


def encode(record: Any) -> bytes:
    """Return a record as JSON, its errors with code, side and arguments."""
    return msgspec.json.encode(record, enc_hook=_encode_error)


def _encode_error(value: Any) -> Any:
    if isinstance(value, ImagePusherError):
        return to_record(value)
    raise NotImplementedError(f"{type(value).__name__} is not kept in the ledger")


def decode(found: bytes | None, kind: type[Record]) -> Record | None:
    """Return a record that may be absent; raises msgspec.MsgspecError."""
    return None if found is None else read(found, kind)


def read(found: bytes, kind: type[Record]) -> Record:
    """Return a record; raises msgspec.MsgspecError."""
    return msgspec.json.decode(found, type=kind, dec_hook=_decode_error)


def _decode_error(kind: type, value: Any) -> Any:
    if kind is ImagePusherError:
        return from_record(value)
    raise NotImplementedError(f"{kind.__name__} is not kept in the ledger")
