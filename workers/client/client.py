"""What the command line and the Python entry do with Celery: send a push, follow it, read its report."""

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec
from celery import Celery, states
from celery.exceptions import TimeoutError as NotYet
from kombu.exceptions import OperationalError

from tasks import contract
from tasks.errors import ImagePusherError, PushFailed, PushUnknown, StateUnavailable
from tasks.transfer.ports import Ledger

Answer = TypeVar("Answer")
Follow = Callable[[contract.Progress], None]

_TICK_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.02
_ASK_AGAIN_SECONDS: Final = 30.0
_LONG_SECONDS: Final = 3.0
# Of a push of thousands of digests a look takes long.
_REST_FACTOR: Final = 20


class Client(Protocol):
    """A way to a running Celery: that of a broker, or one embedded in this process."""

    embedded: bool

    def send(self, request: dict[str, Any], push_id: str) -> None:
        """Enqueue a push."""
        ...

    def wait(self, push_id: str, follow: Follow | None = None) -> contract.PushReport:
        """Return the report when the push ended, its failures included; raises ImagePusherError where there is none."""
        ...

    def progress(self, push_id: str) -> contract.Progress:
        """Return how far a push is; raises PushUnknown."""
        ...

    def report(self, push_id: str) -> contract.PushReport | None:
        """Return the report of a push that ended; raises PushUnknown."""
        ...

    def pushes(self) -> list[contract.Progress]:
        """Return the pushes that the ledger remembers, the newest first."""
        ...

    def preview(self, request: dict[str, Any]) -> contract.Preview:
        """Return what a push would do."""
        ...

    def verify(self, push_id: str) -> contract.Verification:
        """Compare B with the report of a push; raises PushUnknown."""
        ...

    def undo(self, push_id: str) -> contract.Undo:
        """Put the tags of a push back; raises PushUnknown."""
        ...


class _Sent(NamedTuple):
    """A push that this process has sent; `updated` is when the ledger had heard of it last before."""

    request: dict[str, Any]
    task_id: str
    updated: float | None


class CeleryClient:
    """A client of one Celery application and the ledger of its workers.

    A broker or result store that is `away`, which these errors tell, is waited for: `patience` is in seconds.
    `unanswered` is called, once, when no worker takes a question for some seconds.
    """

    def __init__(
        self,
        app: Celery,
        ledger: Ledger,
        *,
        embedded: bool,
        away: tuple[type[Exception], ...] = (),
        patience: float = 0.0,
        unanswered: Callable[[], None] = lambda: None,
    ) -> None:
        self._unanswered = unanswered
        self.embedded = embedded
        self._away = away
        self._out_of_reach: tuple[type[Exception], ...] = (StateUnavailable, *away)
        self._app = app
        self._ledger = ledger
        self._patience = patience
        self._sent: dict[str, _Sent] = {}

    def send(self, request: dict[str, Any], push_id: str) -> None:
        # A push that is run again gets a task of its own: the result of the first one stands under the push id.
        known = self._ledger.request(push_id) is not None
        if self.embedded and known and push_id not in self._sent and self._ledger.report(push_id) is None:
            # Its messages were in the memory of a process that was interrupted: nobody will work on them.
            self._ledger.reopen(push_id)
        # An id of its own stays, whatever it is: its validation names that fault.
        request = request if request.get("push_id") is not None else request | {"push_id": push_id}
        task_id = str(uuid.uuid4()) if known else push_id
        self._send(push_id, _Sent(request, task_id, self._ledger.updated(push_id)), announced=not known)

    def wait(self, push_id: str, follow: Follow | None = None) -> contract.PushReport:
        sent = self._sent.get(push_id)
        follower = _Follower(self._ledger, push_id, follow)

        def tick() -> contract.PushReport | None:
            if not follower.look() and sent is not None:
                # Redis came back empty, and with it went the push: who asked for it is the one who still knows.
                self._send(push_id, sent, announced=True)
            return None if self.embedded or self._ledger.is_open(push_id) else self._evicted(push_id, sent)

        def goes_on() -> bool:
            # A chord that broke is sent again: of a push that has not ended, its task is not the last word.
            with suppress(PushUnknown, StateUnavailable):
                return not self.embedded and self._ledger.report(push_id) is None and bool(self.progress(push_id))
            return False

        try:
            report = self._get(sent.task_id if sent else push_id, tick, goes_on)
        except PushFailed as failure:
            report = failure.report
        return msgspec.convert(report, contract.PushReport)

    def progress(self, push_id: str) -> contract.Progress:
        return self._ledger.progress(push_id)

    def report(self, push_id: str) -> contract.PushReport | None:
        self._ledger.progress(push_id)
        return self._ledger.report(push_id)

    def pushes(self) -> list[contract.Progress]:
        return self._ledger.pushes()

    def preview(self, request: dict[str, Any]) -> contract.Preview:
        return self._ask(contract.PREVIEW_TASK, request, contract.Preview)

    def verify(self, push_id: str) -> contract.Verification:
        return self._ask(contract.VERIFY_TASK, push_id, contract.Verification)

    def undo(self, push_id: str) -> contract.Undo:
        return self._ask(contract.UNDO_TASK, push_id, contract.Undo)

    def _evicted(self, push_id: str, sent: "_Sent | None") -> contract.PushReport | None:
        """Return the report of a push that is not open, if its result has been stored, and evicted, since it was sent.

        A push that has not ended is always open, unless Redis has evicted that; it is again then.
        """
        request, report = self._ledger.request(push_id), self._ledger.report(push_id)
        if request is None or (sent is not None and request != sent.request):
            return None
        if report is None:
            self._ledger.list_again(push_id)
            return None
        return report if sent is None or self._ledger.updated(push_id) != sent.updated else None

    def _send(self, push_id: str, sent: "_Sent", *, announced: bool) -> None:
        try:
            if announced and not self.embedded:
                self._ledger.enqueue(push_id, sent.request, sent.task_id)
            self._app.send_task(contract.PUSH_TASK, args=[sent.request], task_id=sent.task_id)
        except OperationalError as error:
            raise StateUnavailable(f"The broker does not take the push: {type(error).__name__}.") from None
        self._sent[push_id] = sent

    def _ask(self, task: str, argument: Any, kind: type[Answer]) -> Answer:
        result = self._app.send_task(task, args=[argument])
        asked = sent = time.monotonic()
        told = False

        def tick() -> None:
            nonlocal sent, told
            now = time.monotonic()
            late, lost = not told and now - asked > _LONG_SECONDS, now - sent > _ASK_AGAIN_SECONDS
            if not (late or lost):
                return
            with suppress(*self._away):
                if self._app.AsyncResult(result.id).state != states.PENDING:
                    return
                if late:
                    told = True
                    self._unanswered()
                if lost:
                    # A broker on Redis may lose a message to a worker that is killed; asked twice, the answer is the
                    # same.
                    sent = now
                    self._app.send_task(task, args=[argument], task_id=result.id)

        return msgspec.convert(self._get(result.id, tick), kind)

    def _get(self, task_id: str, tick: Callable[[], Any], goes_on: Callable[[], bool] = lambda: False) -> Any:
        """Wait for a result, and call `tick` now and then; what it raises is of our own tree.

        What `tick` returns is taken for the result, unless it is None. `goes_on` is asked whether to wait for another
        one where the worker failed.
        """
        result = self._app.AsyncResult(task_id)
        away = _Away(self._patience)
        while True:
            try:
                return result.get(timeout=_TICK_SECONDS, interval=_POLL_SECONDS)
            except NotYet:
                try:
                    found = tick()
                except self._out_of_reach as error:
                    away.bear(error)
                    continue
                if found is not None:
                    return found
                away.over()
                continue
            except (ImagePusherError, KeyboardInterrupt):
                raise
            except self._away as error:
                away.bear(error)
            except Exception as error:  # whatever a worker raised, rebuilt by Celery from its name and arguments
                if not goes_on():
                    raise ImagePusherError(f"The worker failed: {type(error).__name__}: {error}.") from error
                time.sleep(1)
            result = self._app.AsyncResult(task_id)


class _Away:
    """Bear with a broker or result store that does not answer, for as long as `patience` lasts, in seconds."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: float | None = None

    def bear(self, error: Exception) -> None:
        """Wait a little; raises StateUnavailable when it has been away for too long."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since > self._patience:
            if isinstance(error, StateUnavailable):
                raise error
            raise StateUnavailable(f"The result store does not answer: {type(error).__name__}.") from None
        time.sleep(1)

    def over(self) -> None:
        """Forget how long it was away: it answers."""
        self._since = None


class _Follower:
    """Show how far a push is, at most so often that looking takes a small part of the time."""

    def __init__(self, ledger: Ledger, push_id: str, follow: Follow | None) -> None:
        self._ledger = ledger
        self._push_id = push_id
        self._follow = follow
        self._next = 0.0

    def look(self) -> bool:
        """Look if it is time to; tell whether the ledger knows the push, as far as can be told."""
        started = time.monotonic()
        if started < self._next:
            return True
        try:
            progress = self._ledger.progress(self._push_id)
        except PushUnknown:
            return False
        except StateUnavailable:
            return True
        if self._follow is not None:
            self._follow(progress)
        self._next = started + (time.monotonic() - started) * _REST_FACTOR
        return True
