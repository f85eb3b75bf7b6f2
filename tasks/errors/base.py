"""The base of all errors: whose side an error is on, and whether its task is tried again."""

import enum
from collections.abc import Iterable
from typing import Self


class Side(enum.StrEnum):
    """The side that caused an error."""

    SOURCE = "source"
    DESTINATION = "destination"
    STATE = "state"
    """The broker, or the Redis that holds ledger and locks."""
    SETTINGS = "settings"
    """The request, or the settings of this program."""
    WORKER = "worker"


class Retry(enum.Enum):
    """Whether the task that met an error is tried again."""

    NEVER = "never"
    """The next try would end in the same way."""
    LATER = "later"
    """The other side may serve later. The tries of the task are counted."""
    WAIT = "wait"
    """The other side will serve again. The task waits for it, up to `limits.maintenance_seconds`."""
    GIVE_BACK = "give back"
    """The task is not at fault. It goes back to its queue, and this try does not count."""


class ImagePusherError(Exception):
    """The base of all errors: a message, its side, and advice for the user.

    `side` is None while the side is unknown. `retry_after` are the seconds that the other side asked for, if it did.
    """

    code: str = "internal_error"
    advice: str = ""
    side: Side | None = None
    retry: Retry = Retry.NEVER
    retry_after: float | None = None

    def __init__(self, message: str, retry_after: float | None = None, side: Side | str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if retry_after is not None:
            self.retry_after = retry_after
        if side is not None:
            self.side = Side(side)
        self._pack()

    @property
    def passes(self) -> bool:
        """Whether another try may succeed."""
        return self.retry in {Retry.LATER, Retry.WAIT}

    @property
    def gives_back(self) -> bool:
        """Whether the task goes back to its queue: neither it nor a registry is at fault."""
        return self.retry is Retry.GIVE_BACK

    @property
    def ends_locked_work(self) -> bool:
        """Whether work under the lock of a tag ends with this error: the task is given back, or the lock is lost."""
        return self.gives_back

    def on(self, side: Side | str) -> Self:
        """Set the side of the error, unless it is known, and return the error."""
        if self.side is None:
            self.side = Side(side)
            self._pack()
        return self

    def _pack(self) -> None:
        """Set `args` so that they rebuild the error."""
        said = (self.message, self.__dict__.get("retry_after"), self.__dict__.get("side"))
        self.args = said if any(value is not None for value in said[1:]) else said[:1]

    # Plans and outcomes hold errors, and are compared as values.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and str(self) == str(other) and self.args == getattr(other, "args", ())

    def __hash__(self) -> int:
        return hash((type(self), self.message))

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".rstrip()

    def __repr__(self) -> str:
        # Monitors show this text: one line, without the report of a PushFailed.
        return f"{type(self).__name__}({self.message!r})"


def longest_wait(errors: Iterable[ImagePusherError]) -> ImagePusherError | None:
    """Return the error with the longest wait among those that are worth another try, None without such an error."""
    later = [error for error in errors if error.passes]
    return max(later, key=lambda error: error.retry_after or 0.0, default=None)
