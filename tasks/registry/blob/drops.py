"""The bodies of an upload that got no answer, and the form that is due after them (BEHAVIOUR 5.6)."""

from typing import Final

from tasks.registry.blob.verified import Part
from tasks.registry.http.retry import Transient
from tasks.registry.upload_forms import Way

# One lost connection is nothing unusual.
_MOST: Final = 2
# A proxy answers so for a registry that dropped the connection.
_BY_PROXY: Final = frozenset({502, 504, 520, 524})


class Drops:
    """The dropped bodies of one upload.

    `changes` counts the forms that followed from them. `is_last` says that the present try ended with a dropped body;
    `offset` is where the last of them began.
    """

    def __init__(self) -> None:
        self.changes = 0
        self.is_last = False
        self.offset = -1
        self._bytes = 0
        self._count = 0

    @property
    def met_all_forms(self) -> bool:
        """Whether the last body was dropped after a change of the form."""
        return self.is_last and self.changes > 0 and self._bytes > 0

    def note(self, failure: Transient, part: Part) -> None:
        """Note a body whose request failed, unless the registry itself answered; an empty one says nothing of forms."""
        if failure.status is not None and failure.status not in _BY_PROXY:
            return
        # Further on in the content, the earlier bodies have arrived.
        earlier = self._count if part.offset <= self.offset else 0
        self._count = earlier + 1 if part else 0
        self.offset, self._bytes, self.is_last = part.offset, len(part), True

    def after(self, way: Way) -> Way | None:
        """Return the way that follows from too many drops at one offset, None if there is none."""
        found = way.after_drops(self._bytes) if self._count >= _MOST else None
        if found is not None:
            self._count = 0
            self.changes += 1
        return found
