"""The decisions of a waiting client: wait longer, take the result, send again, or fail. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from tasks import contract
from tasks.errors import ImagePusherError, PushFailed, PushUnknown, StateUnavailable

_LOOK_AGAIN_SECONDS: Final = 1.0
_LONG_SECONDS: Final = 3.0
_ASK_AGAIN_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Pending:
    """The result store has no result; `taken` tells whether a worker has begun."""

    taken: bool = False


@dataclass(frozen=True)
class Arrived:
    """The task ended with this value."""

    value: Any


@dataclass(frozen=True)
class Refused:
    """The task ended with an error of this project's own hierarchy."""

    error: ImagePusherError


@dataclass(frozen=True)
class Broken:
    """The task ended with an error that Celery rebuilt from its name and arguments."""

    error: Exception


@dataclass(frozen=True)
class Away:
    """The broker, the result store or the ledger did not answer."""

    error: Exception


Result = Pending | Arrived | Refused | Broken | Away


@dataclass(frozen=True, kw_only=True)
class Sight:
    """The ledger's view of a push: whether the push is known, whether it is running, and its final report.

    `report` is None while the result store decides.
    """

    known: bool = True
    under_way: bool = False
    report: contract.PushReport | None = None


@dataclass(frozen=True)
class Wait:
    """The advice to look again after `seconds`; `unanswered` is True once, after a long time without any worker."""

    seconds: float = 0.0
    unanswered: bool = False


@dataclass(frozen=True)
class Done:
    """Stop waiting: the result is there."""

    value: Any


@dataclass(frozen=True)
class Resend:
    """Send the lost message again; `anew`: as another task, since the first one has ended."""

    unanswered: bool = False
    anew: bool = False


@dataclass(frozen=True)
class Fail:
    """Give up with this error."""

    error: ImagePusherError


Step = Wait | Done | Resend | Fail


class Outage:
    """An outage of the broker or result store, tolerated for `patience` seconds."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: float | None = None

    def bear(self, error: Exception, now: float) -> Step:
        """Return the step: look again, or fail; `now` is in seconds of any clock."""
        self._since = now if self._since is None else self._since
        if now - self._since <= self._patience:
            return Wait(_LOOK_AGAIN_SECONDS)
        if isinstance(error, StateUnavailable):
            return Fail(error)
        reason = ": ".join(part for part in (type(error).__name__, str(error).rstrip(".")) if part)
        return Fail(StateUnavailable(f"The result store does not answer: {reason}."))

    def end(self) -> None:
        """Reset the duration of the outage."""
        self._since = None


class PushWait:
    """The wait for the report of a push; `ours` tells whether this client has the request and can send it again."""

    def __init__(self, patience: float, *, ours: bool) -> None:
        self._outage = Outage(patience)
        self._ours = ours

    def poll(self, result: Result, sight: Sight, now: float) -> Step:
        """Return the next step (BEHAVIOUR 7.5); a failed push is done too and has a report."""
        match result:
            case Arrived(value):
                return Done(value)
            case Refused(PushFailed(report=report)):
                return Done(report)
            case Refused(PushUnknown()) if self._ours and not sight.known:
                # The ledger was emptied while a worker had the push in hand.
                return Resend(anew=True)
            case Refused(error):
                return Fail(error)
            case Away(error):
                return self._outage.bear(error, now)
            case Broken(error):
                # The watchdog sends a broken chord again: the error is not final.
                return Wait(_LOOK_AGAIN_SECONDS) if sight.under_way else Fail(_worker_failed(error))
            case Pending():
                return self._pending(sight)

    def _pending(self, sight: Sight) -> Step:
        if sight.report is not None:
            return Done(sight.report)
        if self._ours and not sight.known:
            return Resend()
        self._outage.end()
        return Wait()


class QuestionWait:
    """The wait for the answer to a question that was asked at `now`; a repeated question has the same answer."""

    def __init__(self, patience: float, now: float) -> None:
        self._outage = Outage(patience)
        self._asked = self._sent = now
        self._told = False

    def poll(self, result: Result, now: float) -> Step:
        """Return the next step."""
        match result:
            case Arrived(value):
                return Done(value)
            case Refused(error):
                return Fail(error)
            case Away(error):
                return self._outage.bear(error, now)
            case Broken(error):
                return Fail(_worker_failed(error))
            case Pending(taken):
                self._outage.end()
                return Wait() if taken else self._untaken(now)

    def _untaken(self, now: float) -> Step:
        """Ask again after half a minute: a killed worker may have lost the message on Redis."""
        unanswered = not self._told and now - self._asked > _LONG_SECONDS
        self._told = self._told or unanswered
        if now - self._sent <= _ASK_AGAIN_SECONDS:
            return Wait(unanswered=unanswered)
        self._sent = now
        return Resend(unanswered)


def _worker_failed(error: Exception) -> ImagePusherError:
    return ImagePusherError(f"The worker failed: {type(error).__name__}: {error}.")
