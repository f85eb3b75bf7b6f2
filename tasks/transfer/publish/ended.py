"""The end of a release."""

from contextlib import suppress

import msgspec

from tasks import contract
from tasks.errors import LockLost
from tasks.transfer.publish.moved import Moved
from tasks.transfer.publish.release_member import Member


class Ended(msgspec.Struct):
    """The end of a release: the move of each tag if it `stands`, else the report of each tag, and those put back."""

    moved: dict[str, Moved] = msgspec.field(default_factory=dict)
    reports: dict[str, contract.TagReport] = msgspec.field(default_factory=dict)
    restored: list[Member] = msgspec.field(default_factory=list)

    def forget(self) -> None:
        """Note that the `restored` tags were put back, so that an undo leaves alone what others write there later.

        Those that others moved meanwhile are among them: nothing of the release is left there.

        It comes after the reports of the tags: a repeat makes them from the intents.
        """
        for member in self.restored:
            with suppress(LockLost):
                member.move.work.forget()

    @property
    def stands(self) -> bool:
        """Whether all tags moved."""
        return not self.reports
