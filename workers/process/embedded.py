"""A worker inside this process: the same tasks and the same chord, without a server."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from celery import Celery, _state
from celery.concurrency.thread import TaskPool
from celery.exceptions import WorkerShutdown
from celery.worker import WorkController

from tasks.celery_glue.runtime import Runtime, provide
from tasks.coordination.local.in_process import (
    KeyLocks,
    LocalBlobLocations,
    LocalBudgets,
    LocalRuns,
    LocalSingleFlight,
)
from tasks.coordination.local.tag_files import FileTagLocks
from tasks.errors import ImagePusherError
from tasks.registry.settings import RegistryConfiguration
from tasks.registry.upload_forms import LocalUploadForms
from workers.broker.app import forget_app, make_embedded_app
from workers.ledger import open_hashes, open_hashes_to_look
from workers.process.assembly import make_runtime
from workers.process.plugins import PluginAnnouncer, load_plugins
from workers.settings import Settings

# Celery keeps the state of a process's worker in module variables: only one embedded worker at a time.
_ONE_AT_A_TIME: Final = threading.Lock()
# A person waits: after the HTTP retries, a silent registry is tried once more, not for minutes.
_TASK_TRIES: Final = 2
# Planning, publishing and the copies that wait for blobs need their own slots.
_SLOTS_BESIDE_COPIES: Final = 4
# Celery waits two seconds for messages, and cannot be woken to stop.
_LONGEST_WAIT: Final = 0.05


@contextmanager
def embedded_worker(
    settings: Settings, registries: RegistryConfiguration, jobs: int, *, remembers: bool = True
) -> Iterator[tuple[Celery, Runtime]]:
    """Run a worker in threads of this process; its ledger and its tag locks are in the state directory.

    A worker that writes to no registry can use `remembers=False`. All resources are closed at the end: a program may
    embed a worker repeatedly.
    """
    with _ONE_AT_A_TIME, ExitStack() as closing:
        app = make_embedded_app(f".{uuid.uuid4().hex}")
        closing.callback(forget_app, app)
        hashes = open_hashes(settings) if remembers else open_hashes_to_look(settings)
        closing.callback(hashes.close)
        cancelled = threading.Event()
        locks = KeyLocks()
        runtime = make_runtime(
            settings,
            registries,
            hashes,
            budgets=LocalBudgets(),
            forms=LocalUploadForms(),
            locations=LocalBlobLocations(),
            flights=LocalSingleFlight(locks, settings.copy_seconds),
            runs=LocalRuns(locks, settings.lock_wait_seconds),
            locks=FileTagLocks(settings.state_dir / "tags", locks, settings.lock_wait_seconds),
            announcer=PluginAnnouncer(load_plugins()),
            task_tries=_TASK_TRIES,
            cancelled=cancelled,
            closing=closing,
        )
        closing.callback(cancelled.set)
        provide(app, lambda: runtime)
        with _running(app, jobs + _SLOTS_BESIDE_COPIES):
            try:
                yield app, runtime
            except BaseException:
                # The caller no longer waits for the push: stop its copies, so that they do not delay the end.
                cancelled.set()
                raise


def _pool_of(app: Celery) -> type[TaskPool]:
    """Return a pool whose threads work for `app`.

    Celery looks up a received task in the current application. Without this pool, that would be the default application
    of the process, which may belong to the host program.
    """

    class Threads(TaskPool):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.executor = ThreadPoolExecutor(self.limit, initializer=app.set_current)

    return Threads


@contextmanager
def _running(app: Celery, concurrency: int) -> Iterator[None]:
    ready, stopping = threading.Event(), threading.Event()

    def on_ready(consumer: Any) -> None:
        transport = consumer.connection.transport
        wait = transport.drain_events

        def wait_for_messages(connection: Any, **_: Any) -> None:
            # Do not use Celery's own variable: it would stop every worker of the process, including the host's.
            if stopping.is_set():
                raise WorkerShutdown(0)
            wait(connection, timeout=_LONGEST_WAIT)

        transport.drain_events = wait_for_messages
        ready.set()

    def run() -> None:
        app.set_current()
        worker.start()

    worker: Any = WorkController(
        app=app,
        hostname=f"embedded-{uuid.uuid4().hex[:8]}@localhost",
        pool=_pool_of(app),
        concurrency=concurrency,
        ready_callback=on_ready,
        without_heartbeat=True,
        without_mingle=True,
        without_gossip=True,
    )
    thread = threading.Thread(target=run, name="embedded-worker", daemon=True)
    thread.start()
    while not ready.wait(1):
        if not thread.is_alive():
            raise ImagePusherError("The embedded worker did not start.")
    # The worker and the code that waits for its results are in different threads: waiting cannot block the worker.
    _state._set_task_join_will_block(False)  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
    try:
        yield
    finally:
        stopping.set()
        thread.join()
