"""The client of pushes that run in this process."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from typing import Any, Final

from tasks import contract, telemetry
from tasks.celery_glue.runtime import Runtime
from tasks.errors import ImagePusherError, PushUnknown
from tasks.registry.settings import RegistryConfiguration
from workers.client.followed import Follow, FollowedPush
from workers.client.ledger_reader import LedgerReader
from workers.observability.threads import ContextThreads
from workers.process.embedded import embedded_runtime
from workers.process.pushing import LocalPush
from workers.running_pushes import RunningPushes
from workers.settings import Settings

_TICK_SECONDS: Final = 0.2


class EmbeddedClient(LedgerReader):
    """A client whose pushes run in threads of this process, each with at most `at_once` copies under way.

    `begin` is called with the id of each push before it begins, `cancelled` stops all of them.
    """

    embedded = True
    drops_passwords = False

    def __init__(
        self,
        here: Runtime,
        copies: ContextThreads,
        at_once: int,
        cancelled: threading.Event,
        begin: Callable[[str], None],
    ) -> None:
        self._here = here
        super().__init__(here.ledger)
        self._copies = copies
        self._at_once = at_once
        self._cancelled = cancelled
        self._begin = begin
        self._runs: dict[str, Future[contract.PushReport]] = {}
        self._threads: list[threading.Thread] = []

    def send(self, request: dict[str, Any], push_id: str) -> None:
        self._begin(push_id)
        known = self._ledger.request(push_id) is not None
        if known and push_id not in self._runs and self._ledger.report(push_id) is None:
            # It was interrupted with its process.
            self._ledger.reopen(push_id)
        # Keep any id of the request, even a wrong one: the validation reports it.
        request = request if request.get("push_id") is not None else request | {"push_id": push_id}
        # A push that is run again gets a new id of its run: the report of the first run is under the push id.
        task_id = str(uuid.uuid4()) if known else push_id
        push = LocalPush(self._here, push_id, self._copies, self._at_once, self._cancelled)
        earlier = self._runs.get(push_id)
        self._runs[push_id] = future = Future[contract.PushReport]()
        with telemetry.span(f"create {contract.PUSH_TASK}", push_id=push_id):
            run = copy_context().run
            thread = threading.Thread(
                target=run, args=(_settle, future, push, request, task_id, earlier), name=f"push {push_id}", daemon=True
            )
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(thread)
        thread.start()

    def wait(self, push_id: str, follow: Follow | None = None) -> contract.PushReport:
        running = self._runs.get(push_id)
        if running is None:
            raise PushUnknown(f"This process runs no push {push_id!r}.")
        followed = FollowedPush(self._ledger, push_id, follow)
        while not wait([running], _TICK_SECONDS).done:
            followed.look()
        error = running.exception()
        if error is None:
            return running.result()
        if isinstance(error, ImagePusherError):
            raise error
        raise ImagePusherError(f"The push broke: {type(error).__name__}: {error}.") from error

    def preview(self, request: dict[str, Any]) -> contract.Preview:
        from tasks.celery_glue import inspections  # noqa: PLC0415 - a push needs none

        return inspections.preview(self._here, request)

    def verify(self, push_id: str) -> contract.Verification:
        from tasks.celery_glue import inspections  # noqa: PLC0415 - as above

        return inspections.verify(self._here, push_id)

    def undo(self, push_id: str, *, leave_moved: bool = False) -> contract.Undo:
        return self._undo(push_id, dry_run=False, leave_moved=leave_moved)

    def preview_undo(self, push_id: str, *, leave_moved: bool = False) -> contract.Undo:
        return self._undo(push_id, dry_run=True, leave_moved=leave_moved)

    def _undo(self, push_id: str, *, dry_run: bool, leave_moved: bool) -> contract.Undo:
        from tasks.celery_glue import inspections  # noqa: PLC0415 - as above

        return inspections.undo(self._here, push_id, dry_run=dry_run, leave_moved=leave_moved)

    def join(self) -> None:
        """Wait for the threads of all pushes."""
        for thread in self._threads:
            thread.join()


@contextmanager
def embedded_client(
    settings: Settings, registries: RegistryConfiguration, *, remembers: bool = True
) -> Iterator[EmbeddedClient]:
    """Yield a client that runs pushes itself; those that have not ended with the block are cut short.

    A client that writes to no registry can use `remembers=False`.
    """
    cancelled = threading.Event()
    running = RunningPushes(settings.state_dir)
    with ExitStack() as closing:
        closing.callback(running.release)
        here = closing.enter_context(embedded_runtime(settings, registries, cancelled, remembers=remembers))
        copies = ContextThreads(settings.jobs, thread_name_prefix="copy")
        client = EmbeddedClient(here, copies, settings.jobs, cancelled, running.hold)
        closing.callback(copies.shutdown)
        closing.callback(client.join)
        # The caller no longer waits for the pushes: stop their copies, so that they do not delay the end.
        closing.callback(cancelled.set)
        yield client


def _settle(
    future: Future[contract.PushReport],
    push: LocalPush,
    request: dict[str, Any],
    task_id: str,
    earlier: Future[contract.PushReport] | None,
) -> None:
    try:
        future.set_result(push.run(request, task_id, earlier))
    except BaseException as error:  # noqa: BLE001 - who waits for the push raises it
        future.set_exception(error)
