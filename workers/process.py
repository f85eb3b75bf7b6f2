"""What a worker process has: its runtime, made after a fork and once, and its start."""

import os
import socket
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import redis
from celery import Celery
from celery.signals import worker_shutting_down

from tasks import contract, runtime
from tasks.coordination.hashes import Hashes, RedisHashes
from tasks.coordination.leases import LeasedSingleFlight, LeasedTagLocks, Leases
from tasks.coordination.ledger import HashLedger
from tasks.coordination.locations import RedisBlobLocations
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.runtime import Runtime
from tasks.transfer.copy import Copier
from workers.app import KEY_PREFIX, make_app
from workers.observability import configure_logging
from workers.settings import Settings


def make_runtime(
    settings: Settings,
    registries: RegistryConfiguration,
    client: redis.Redis,
    hashes: Hashes,
    *,
    task_tries: int,
    cancelled: threading.Event,
) -> Runtime:
    """Return the runtime of this process: `client` is what workers share, `hashes` is where the ledger is."""
    leases = Leases(client, settings.lock_seconds)
    shared = Registries(registries)
    copier = Copier(
        shared,
        RedisBlobLocations(client, KEY_PREFIX),
        LeasedSingleFlight(leases, KEY_PREFIX, settings.copy_seconds),
        ThreadPoolExecutor(settings.jobs, thread_name_prefix="blob"),
        cancelled,
        settings.copy_seconds,
    )
    return Runtime(
        registries=shared,
        ledger=HashLedger(hashes),
        locks=LeasedTagLocks(leases, KEY_PREFIX, settings.lock_wait_seconds),
        copier=copier,
        targets=settings.targets,
        executor=ThreadPoolExecutor(settings.jobs, thread_name_prefix="tag"),
        task_tries=task_tries,
    )


def connect(settings: Settings) -> redis.Redis:
    """Return a client of the Redis that holds the ledger and the locks."""
    if settings.state_url is None:
        raise ValueError("there is no Redis without a broker")
    return redis.Redis.from_url(settings.state_url, socket_timeout=30, socket_keepalive=True, health_check_interval=25)


def provide_runtime(app: Celery, make: Callable[[], Runtime]) -> None:
    """Let the tasks of `app` find a runtime that is made once in each process, whatever the pool forks."""
    made: dict[int, Runtime] = {}
    lock = threading.Lock()

    def provider() -> Runtime:
        with lock:
            if os.getpid() not in made:
                made[os.getpid()] = make()
            return made[os.getpid()]

    runtime.provide(app, provider)


def run_worker(
    settings: Settings,
    *,
    queues: Sequence[str] = contract.QUEUES,
    concurrency: int | None = None,
    name: str | None = None,
    log_level: str = "info",
) -> None:
    """Serve queues until the process is told to stop (SIGTERM lets running tasks end)."""
    configure_logging(log_level)
    app = make_app(settings)
    cancelled = threading.Event()
    provide_runtime(
        app,
        lambda: make_runtime(
            settings,
            settings.registries,
            client := connect(settings),
            RedisHashes(client, settings.ledger_seconds),
            task_tries=settings.task_tries,
            cancelled=cancelled,
        ),
    )

    def stop_copies_in_time(**_: object) -> None:
        grace = threading.Timer(settings.grace_seconds, cancelled.set)
        grace.daemon = True
        grace.start()

    # A warm shutdown waits for running tasks without end: copies that take longer go back to the queue.
    worker_shutting_down.connect(stop_copies_in_time, weak=False)
    # Two workers of one node name confuse each other, and the second crashes on RabbitMQ.
    node = name or f"imagepusher-{uuid.uuid4().hex[:8]}@{socket.gethostname()}"
    app.worker_main(
        [
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
