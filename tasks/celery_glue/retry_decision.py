"""The decision whether the task of one part of a push runs again, and when; without Celery (BEHAVIOUR 7.3, 8.3)."""

from contextlib import suppress
from typing import Final

from tasks import contract
from tasks.celery_glue.runtime import Runtime
from tasks.errors import ImagePusherError, ReleaseUnsettled, Retry, StateUnavailable

_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 120.0
_DOUBLINGS: Final = 6
_MAINTENANCE_PAUSE: Final = 60.0
# If a part went on for longer than this since its last wait, its next wait counts as a new one.
_WAITS_BELONG_TOGETHER: Final = 300.0


class Returns:
    """The runs of one part of a push; `retries` is the number of runs before this one."""

    def __init__(self, here: Runtime, push_id: str, part: str, retries: int) -> None:
        self._here = here
        self._push_id = push_id
        self._part = part
        self._retries = retries
        # The begins of waits that did not leave the worker.
        self._held_since: dict[str, float] = {}

    def may_follow(self, error: ImagePusherError, tries: int | None = None) -> bool:
        """Tell whether an error is worth another run; `tries` bounds those for registries that may serve later."""
        match error.retry:
            case Retry.NEVER:
                return False
            case Retry.GIVE_BACK:
                return True
            case Retry.WAIT:
                return self._here.clock() - self._waiting(error).since < self._here.maintenance_seconds
            case Retry.LATER:
                return self._retries + 1 < self._here.tries_of(tries)

    def wait(self, error: ImagePusherError) -> float:
        """Note in the ledger that the part waits, and return for how many seconds."""
        seconds = pause(error, self._retries)
        with suppress(StateUnavailable):
            waiting = self._waiting(error, seconds)
            self._here.ledger.wait(self._push_id, self._part, waiting)
            self.tell(waiting)
        return seconds

    def held_up(self, part: str, error: ImagePusherError | None, seconds: float) -> None:
        """Note in the ledger that a part waits in its worker, for at most `seconds`; without an error, that it goes on.

        Threads of one delivery wait for different parts.
        """
        with suppress(StateUnavailable):
            if error is None:
                self._here.ledger.go_on(self._push_id, part)
                self.tell(None)
                return
            waiting = self._waiting(error, seconds)
            self._held_since[error.code] = min(waiting.since, self._held_since.get(error.code, waiting.since))
            self._here.ledger.hold_up(self._push_id, part, waiting)
            self.tell(waiting)

    def tell(self, waiting: contract.Waiting | None) -> None:
        """Tell monitors that the push waits, or goes on; here there are none."""

    def _waiting(self, error: ImagePusherError, seconds: float = 0.0) -> contract.Waiting:
        now = self._here.clock()
        earlier = self._here.ledger.waits(self._push_id).get(self._part)
        since = earlier.since if earlier is not None and _goes_on(earlier, error, now) else now
        since = min(since, self._held_since.get(error.code, since))
        return contract.Waiting(reason=contract.Fault.of(error), since=since, until=now + seconds)


def _goes_on(earlier: contract.Waiting, error: ImagePusherError, now: float) -> bool:
    """Tell whether a wait for the reason `error` continues the earlier wait.

    A release that is being put back does nothing else: its waits count as one, even if each try takes long.
    """
    if error.code == earlier.reason.code == ReleaseUnsettled.code:
        return True
    return now - earlier.until < _WAITS_BELONG_TOGETHER


def pause(error: ImagePusherError, retries: int) -> float:
    """Return the seconds before the next run: as the error asks, else doubling with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    if error.retry is Retry.WAIT:
        return _MAINTENANCE_PAUSE
    # Few pushes are held up.
    import random  # noqa: PLC0415

    doubled = _FIRST_PAUSE * 2.0 ** min(_DOUBLINGS, retries)
    return min(_LONGEST_PAUSE, doubled) * random.uniform(0.5, 1)  # noqa: S311 - jitter
