"""What the command line and the Python entry do with Celery: send a push, follow it, read its report."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

import msgspec
from celery import Celery
from celery.exceptions import TimeoutError as NotYet
from redis.exceptions import RedisError

from tasks import contract
from tasks.coordination.hashes import RedisHashes
from tasks.coordination.ledger import HashLedger
from tasks.errors import ImagePusherError, PushFailed, PushUnknown
from tasks.registry.settings import RegistryOverride
from tasks.transfer.ports import Ledger
from workers.app import make_app
from workers.process import connect
from workers.settings import Settings, load_settings

Answer = TypeVar("Answer")
Follow = Callable[[contract.Progress], None]

_TICK_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.02
# A person waits for this process: a Redis that is away is told of soon.
_PATIENCE_SECONDS: Final = 5.0


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


class CeleryClient:
    """A client of one Celery application and the ledger of its workers."""

    def __init__(self, app: Celery, ledger: Ledger, *, embedded: bool) -> None:
        self.embedded = embedded
        self._app = app
        self._ledger = ledger
        self._task_ids: dict[str, str] = {}

    def send(self, request: dict[str, Any], push_id: str) -> None:
        # A push that is run again gets a task of its own: the result of the first one stands under the push id.
        known = self._ledger.request(push_id) is not None
        task_id = str(uuid.uuid4()) if known else push_id
        self._app.send_task(contract.PUSH_TASK, args=[request | {"push_id": push_id}], task_id=task_id)
        self._task_ids[push_id] = task_id

    def wait(self, push_id: str, follow: Follow | None = None) -> contract.PushReport:
        try:
            report = self._get(self._task_ids.get(push_id, push_id), lambda: self._follow(push_id, follow))
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

    def _follow(self, push_id: str, follow: Follow | None) -> None:
        if follow is None:
            return
        try:
            follow(self._ledger.progress(push_id))
        except PushUnknown:
            return

    def _ask(self, task: str, argument: Any, kind: type[Answer]) -> Answer:
        result = self._app.send_task(task, args=[argument])
        return msgspec.convert(self._get(result.id, lambda: None), kind)

    def _get(self, task_id: str, tick: Callable[[], None]) -> Any:
        """Wait for a result, and call `tick` now and then; what it raises is of our own tree."""
        result = self._app.AsyncResult(task_id)
        while True:
            try:
                return result.get(timeout=_TICK_SECONDS, interval=_POLL_SECONDS)
            except NotYet:
                tick()
            except (ImagePusherError, KeyboardInterrupt):
                raise
            except RedisError as error:
                raise ImagePusherError(f"The result store does not answer: {type(error).__name__}.") from None
            except Exception as error:  # whatever a worker raised, rebuilt by Celery from its name and arguments
                raise ImagePusherError(f"The worker failed: {type(error).__name__}: {error}.") from error


@contextmanager
def open_client(
    settings: Settings | None = None,
    *,
    source: RegistryOverride | None = None,
    destination: RegistryOverride | None = None,
    auth_files: tuple[str, ...] = (),
    jobs: int | None = None,
) -> Iterator[Client]:
    """Open the way to Celery that the settings name: a broker's, or an embedded one where none is.

    What is said of registries here is for the embedded mode: with a broker, the workers' own settings count.
    """
    settings = settings or load_settings(os.environ)
    if settings.broker_url is not None:
        client = connect(settings, _PATIENCE_SECONDS)
        ledger = HashLedger(RedisHashes(client, settings.ledger_seconds))
        yield CeleryClient(make_app(settings), ledger, embedded=False)
        return
    # Only the embedded mode needs a worker's parts in this process.
    from workers.embedded import embedded_worker  # noqa: PLC0415

    registries = replace(
        settings.registries,
        source_override=source or RegistryOverride(),
        destination_override=destination or RegistryOverride(),
        auth_files=auth_files or settings.registries.auth_files,
    )
    chosen = replace(settings, jobs=jobs or settings.jobs)
    with embedded_worker(chosen, registries, chosen.jobs) as (app, runtime):
        yield CeleryClient(app, runtime.ledger, embedded=True)
