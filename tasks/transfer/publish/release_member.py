"""The tags of a release, and the error of one of them that stops it (BEHAVIOUR 10.1)."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from tasks.errors import ImagePusherError
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.tag import TagMove


class Member(msgspec.Struct, frozen=True):
    """One tag of a release; `key` names it among the tags of its push.

    `follows` tells whether an earlier release of the push, which moves the tag too, has begun: its intent is the last.
    """

    key: str
    tag: PlannedTag
    move: TagMove
    irreversible: bool = False
    follows: bool = False

    @property
    def reference(self) -> str:
        """The tag's full name."""
        return str(self.tag.reference)

    @property
    def intent(self) -> TagIntent | None:
        """The change that this run of the push noted last, None if there is none or the tag was put back since."""
        latest = self.move.work.memory.latest
        return latest if latest is not None and latest.changes and not latest.settled else None


class Stopped(Exception):
    """The error that stops a release, with the tag that caused it."""

    def __init__(self, member: Member, error: ImagePusherError) -> None:
        super().__init__(member, error)
        self.member = member
        self.error = error


@contextmanager
def stopping(member: Member) -> Iterator[None]:
    """Name the tag for which a release stops."""
    try:
        yield
    except ImagePusherError as error:
        raise Stopped(member, error) from None
