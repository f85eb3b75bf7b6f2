"""What a worker process has: its runtime, and its start."""

import socket
import threading
import uuid
from collections.abc import Sequence
from typing import Final

import redis
from celery.signals import worker_ready, worker_shutting_down
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from tasks import contract
from tasks.coordination.budgets import RedisBudgets
from tasks.coordination.hashes import Hashes, RedisHashes
from tasks.coordination.leases import LeasedRuns, LeasedSingleFlight, LeasedTagLocks, Leases
from tasks.coordination.ledger import HashLedger
from tasks.coordination.locations import RedisBlobLocations
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.runtime import Runtime, provide
from tasks.transfer.copy import Copier
from tasks.transfer.ports import Announcer
from tasks.transfer.watch import Patience
from workers.app import KEY_PREFIX, make_app
from workers.events import CeleryAnnouncer, load_plugins
from workers.heartbeat import heartbeat_step
from workers.observability import configure_logging, observe_worker
from workers.observability.threads import ContextThreads
from workers.roster import enrol
from workers.settings import Settings
from workers.watchdog import Watchdog

_LONGEST_BACKOFF: Final = 1.0
# Requests that carry little wait for the network, not for the processor: more of them may be on their way than jobs.
_THREADS_A_JOB: Final = 4


def make_runtime(
    settings: Settings,
    registries: RegistryConfiguration,
    hashes: Hashes,
    leases: Leases,
    announcer: Announcer,
    *,
    task_tries: int,
    cancelled: threading.Event,
) -> Runtime:
    """Return the runtime of this process: `leases` stand on what workers share, `hashes` is where the ledger is."""
    ledger = HashLedger(hashes)
    shared = Registries(registries, RedisBudgets(leases.client, KEY_PREFIX))
    copier = Copier(
        shared,
        RedisBlobLocations(leases.client, KEY_PREFIX),
        LeasedSingleFlight(leases, KEY_PREFIX, settings.copy_seconds),
        ContextThreads(_THREADS_A_JOB * settings.jobs, thread_name_prefix="blob"),
        settings.jobs,
        cancelled,
        settings.copy_seconds,
    )
    return Runtime(
        registries=shared,
        ledger=ledger,
        runs=LeasedRuns(leases, KEY_PREFIX, settings.lock_wait_seconds, ledger.touch),
        locks=LeasedTagLocks(leases, KEY_PREFIX, settings.lock_wait_seconds),
        copier=copier,
        announcer=announcer,
        targets=settings.targets,
        executor=ContextThreads(_THREADS_A_JOB * settings.jobs, thread_name_prefix="tag"),
        cancelled=cancelled,
        task_tries=task_tries,
    )


def connect(settings: Settings, patience: float) -> redis.Redis:
    """Return a client of the Redis of ledger and locks, which waits `patience` seconds for one that is away.

    A Redis that is out of memory is away too: what it holds ends by itself, or somebody gives it more.
    """
    if settings.state_url is None:
        raise ValueError("there is no Redis without a broker")
    tries = round(patience / _LONGEST_BACKOFF)
    return redis.Redis.from_url(
        settings.state_url,
        socket_timeout=30,
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=25,
        retry=Retry(ExponentialBackoff(cap=_LONGEST_BACKOFF, base=0.05), tries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError],
    )


def run_worker(
    settings: Settings,
    *,
    queues: Sequence[str] = contract.QUEUES,
    concurrency: int | None = None,
    name: str | None = None,
    log_level: str = "info",
) -> None:
    """Serve queues until the process is told to stop (SIGTERM lets running tasks end)."""
    configure_logging(log_level, settings.observability.log_format)
    app = make_app(settings)
    cancelled = threading.Event()
    client = connect(settings, settings.outage_seconds)
    leases = Leases(client, settings.lock_seconds)
    hashes = RedisHashes(client, settings.ledger_seconds)
    runtime = make_runtime(
        settings,
        settings.registries,
        hashes,
        leases,
        CeleryAnnouncer(app, settings.events_task, settings.events_queue, load_plugins()),
        task_tries=settings.task_tries,
        cancelled=cancelled,
    )
    provide(app, lambda: runtime)
    if settings.heartbeat_file is not None:
        app.steps["consumer"].add(heartbeat_step(settings.heartbeat_file))
    observe_worker(app, settings.observability, HashLedger(hashes).open_ages)
    watchdog = Watchdog(app, runtime, leases, f"{KEY_PREFIX}watchdog", Patience(settings.stall_seconds))

    def stop_in_time(**_: object) -> None:
        watchdog.stop()
        grace = threading.Timer(settings.grace_seconds, cancelled.set)
        grace.daemon = True
        grace.start()

    worker_ready.connect(lambda **_: watchdog.start(), weak=False)
    # A warm shutdown waits for running tasks without end: what takes longer goes back to the queue.
    worker_shutting_down.connect(stop_in_time, weak=False)
    # Two workers of one node name confuse each other, and the second crashes on RabbitMQ.
    node = name or f"imagepusher-{uuid.uuid4().hex[:8]}@{socket.gethostname()}"
    enrol(client, node, queues)
    app.worker_main(
        [
            # No banner: each line that is written is a line of the log.
            "--quiet",
            "worker",
            # Threads: copies wait for the network and hash outside the interpreter's lock, in a tenth of the memory.
            "--pool=threads",
            f"--concurrency={concurrency or settings.jobs}",
            f"--queues={','.join(queues)}",
            f"--hostname={node}",
            f"--loglevel={log_level}",
            # Neither is needed: workers share nothing but Redis, and both cost broker traffic.
            "--without-gossip",
            "--without-mingle",
        ]
    )
