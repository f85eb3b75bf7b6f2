"""The port of the ledger's hashes."""

from collections.abc import Collection, Mapping
from typing import Protocol

Place = tuple[str, str]


class Hashes(Protocol):
    """Hashes that expire some time after their last write.

    All methods raise StateUnavailable, or StateFolderUnusable where they are in a file.
    """

    def put(self, records: Mapping[str, Mapping[str, bytes]], *, seconds: float | None = None) -> None:
        """Write fields of several hashes at once; `seconds` is their lifetime (None: the usual one, inf: no end)."""
        ...

    def exchange(
        self, place: Place, records: Mapping[str, Mapping[str, bytes]], *, over: Collection[bytes] | None = None
    ) -> bytes | None:
        """Write fields as `put` does, and return what the one at `place` held before, in one step.

        With `over`, nothing is written if that was anything but one of these.
        """
        ...

    def fetch(self, *places: Place) -> list[bytes | None]:
        """Return the fields at several places (key, field) at once."""
        ...

    def all(self, key: str) -> dict[str, bytes]:
        """Return all fields of a hash."""
        ...

    def size(self, key: str) -> int:
        """Return the number of fields."""
        ...

    def increment(self, key: str, field: str) -> int:
        """Add one to a counter and return it."""
        ...

    def drop(self, key: str, *fields: str) -> None:
        """Drop fields of a hash."""
        ...

    def drop_up_to_last(self, place: Place, key: str, *fields: str) -> None:
        """Drop fields of a hash; if it then has none, drop the field at `place` too, in one step."""
        ...

    def delete(self, *keys: str) -> None:
        """Delete whole hashes at once."""
        ...
