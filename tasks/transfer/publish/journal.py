"""The journal of a release: its direction, noted before each step (BEHAVIOUR 10.1, 10.7)."""

from collections.abc import Sequence
from typing import Literal, Protocol

# None before the first tag moves. "return": back, for a reason that may pass. "again": all tags were put back since,
# and the release is to be tried again from its begin. "never": it ended before the first tag moved.
Direction = Literal["forward", "back", "stands", "return", "again", "never"]


class Journal(Protocol):
    """The direction of one release, as the ledger keeps it."""

    def read(self) -> Direction | None:
        """Return the direction that was noted last; called when the locks of the release have just been taken."""
        ...

    def again(self) -> Direction | None:
        """Return the direction once more; raises LockLost if another delivery has noted one since `read`."""
        ...

    def note(self, direction: Direction, why: str = "") -> None:
        """Note the direction, before the next step, and why a release goes back.

        Raises LockLost if another delivery of the push has noted one since the last look.
        """
        ...

    def claim(self, references: Sequence[str]) -> None:
        """Note that the release moves these tags, whose locks it holds.

        Raises LockUnavailable, which is waited for, if another release has begun to move one of them and has not ended:
        its worker is gone, or its registry does not serve, and the tag may be put back. To build on it would bring it
        back for good.
        """
        ...

    def why(self) -> str:
        """Return why the release goes back, "" if that was not noted."""
        ...


def has_begun(direction: Direction | None) -> bool:
    """Tell whether tags may have moved that were not put back since."""
    return direction not in {None, "again", "never"}
