"""The worker process: its runtime and its start."""

import logging
import os
import socket
import sys
import threading
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import redis
from celery.signals import worker_init, worker_ready, worker_shutting_down
from celery.worker import state
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tasks import contract
from tasks.celery_glue.admission import Admission
from tasks.celery_glue.message import guard, refuse
from tasks.celery_glue.runtime import Runtime, provide
from tasks.coordination.coordination import Coordination
from tasks.coordination.ledger import HashLedger
from tasks.coordination.redis.budgets import RedisBudgets
from tasks.coordination.redis.hashes import RedisHashes
from tasks.coordination.redis.leases import Leases
from tasks.coordination.redis.locations import RedisBlobLocations
from tasks.coordination.redis.part_locks import LeasedRuns
from tasks.coordination.redis.single_flight import LeasedSingleFlight
from tasks.coordination.redis.tag_locks import LeasedTagLocks
from tasks.coordination.redis.upload_forms import RedisUploadForms
from tasks.transfer.ports import Announcer
from tasks.transfer.watchdog_verdict import Patience
from workers.broker.app import KEY_PREFIX, NOTED_QUEUE, make_app
from workers.broker.intake import Intake
from workers.broker.redis_client import connect, connect_broker, refuse_clusters
from workers.broker.remote_control import answer_with_intake, cancel_what_is_revoked
from workers.broker.result_store import for_worker
from workers.broker.uncompressed import refuse_compressed
from workers.observability.backlog import BacklogSources
from workers.observability.logs import configure_logging
from workers.observability.observe import observe_worker
from workers.process.assembly import make_runtime
from workers.process.events import CeleryAnnouncer
from workers.process.heartbeat import heartbeat_step
from workers.process.plugins import PluginAnnouncer, load_plugins
from workers.process.roster import enrol, serving
from workers.process.watchdog import Watchdog
from workers.settings import Settings
from workers.settings.equipment import equipment_of

LOG: Final = logging.getLogger(__name__)
# The time in which a running copy notices the end of the grace time, unless its registry is silent.
_LAST_MOMENTS: Final = 5.0


def make_shared_runtime(
    settings: Settings,
    client: redis.Redis,
    leases: Leases,
    announcer: Announcer,
    cancelled: threading.Event,
    most_slow: int,
) -> Runtime:
    """Return the runtime of a worker; all workers share the Redis of `client`."""
    hashes = RedisHashes(client, settings.ledger_seconds)
    shared = Coordination(
        hashes=hashes,
        runs=LeasedRuns(leases, KEY_PREFIX, settings.lock_wait_seconds, HashLedger(hashes).touch),
        locks=LeasedTagLocks(leases, KEY_PREFIX, settings.lock_wait_seconds),
        flights=LeasedSingleFlight(leases, KEY_PREFIX, settings.copy_seconds),
        locations=RedisBlobLocations(client, KEY_PREFIX),
        budgets=RedisBudgets(client, KEY_PREFIX),
        forms=RedisUploadForms(client, KEY_PREFIX),
    )
    return make_runtime(
        settings,
        settings.registries,
        shared,
        announcer=announcer,
        task_tries=settings.task_tries,
        cancelled=cancelled,
        # The process ends with its worker: nothing needs to be closed before.
        closing=ExitStack(),
        most_slow=most_slow,
        away=(OperationalError, RedisError),
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
    # Two workers with the same node name disturb each other, and on RabbitMQ the second crashes.
    node = name or f"imagepusher-{uuid.uuid4().hex[:8]}@{socket.gethostname()}"
    configure_logging(log_level, settings.observability.log_format, worker=node)
    refuse_clusters(settings)
    app = make_app(settings)
    app.conf.update(
        result_backend=for_worker(app.conf.result_backend),
        worker_consumer="workers.broker.consumer:Consumer",
        # Messages of tasks wait during an outage of the broker: above all the callback, sent by the last copy.
        task_publish_retry_policy={"max_retries": round(settings.outage_seconds) + 1, "interval_max": 1},
    )
    cancelled = threading.Event()
    client = connect(settings, settings.outage_seconds)
    broker = connect_broker(settings, settings.outage_seconds)
    leases = Leases(client, settings.lock_seconds)
    hashes = RedisHashes(client, settings.ledger_seconds)
    announcer = CeleryAnnouncer(app, settings.events_task, settings.events_queue, PluginAnnouncer(load_plugins()))
    most_slow = max(1, int((concurrency or settings.jobs) * settings.registry_share))
    runtime = make_shared_runtime(settings, client, leases, announcer, cancelled, most_slow)
    provide(app, lambda: runtime)
    refuse_compressed()
    admission = Admission(settings.trust.keys, settings.message_bytes, settings.ledger_seconds)
    guard(app, admission)
    if settings.heartbeat_file is not None:
        app.steps["consumer"].add(heartbeat_step(settings.heartbeat_file))
    ledger = HashLedger(hashes)
    observe_worker(
        app,
        settings.observability,
        BacklogSources(ledger.open_ages, ledger.open_pushes, partial(serving, client), ledger.waits),
        {"registry": settings.registries.registries.keys(), "producer": settings.trust.keys.producers.keys()},
    )
    watchdog = Watchdog(app, runtime, leases, f"{KEY_PREFIX}watchdog", Patience(settings.stall_seconds))

    def stop_in_time(**_: object) -> None:
        watchdog.stop()
        for seconds, act in ((settings.grace_seconds, cancelled.set), (settings.grace_seconds + _LAST_MOMENTS, _end)):
            timer = threading.Timer(seconds, act)
            timer.daemon = True
            timer.start()

    taken_from = list(queues)
    if broker is not None and contract.PUSH_QUEUE in queues:
        limit = concurrency or settings.jobs
        intake = Intake(
            broker, runtime.ledger, lambda: len(state.reserved_requests) < limit, partial(refuse, app), admission
        )
        worker_ready.connect(lambda **_: intake.start(), weak=False)
        worker_shutting_down.connect(lambda **_: intake.stop(), weak=False)
        taken_from[taken_from.index(contract.PUSH_QUEUE)] = NOTED_QUEUE
        answer_with_intake()
    cancel_what_is_revoked(ledger)
    worker_ready.connect(lambda **_: watchdog.start(), weak=False)
    # Celery's warm shutdown waits for running tasks without limit: here, longer tasks return to their queue.
    worker_shutting_down.connect(stop_in_time, weak=False)
    enrol(client, node, queues, equipment_of(settings.registries))
    started: list[Any] = []
    worker_init.connect(lambda sender, **_: started.append(sender), weak=False)
    worker_main: Any = app.worker_main
    worker_main(
        [
            # No banner: every line of output is a log line.
            "--quiet",
            "worker",
            # Threads: copies wait for the network and hash without the GIL, in a tenth of the memory of processes.
            "--pool=threads",
            f"--concurrency={concurrency or settings.jobs}",
            f"--queues={','.join(taken_from)}",
            f"--hostname={node}",
            f"--loglevel={log_level}",
            # Neither is needed: workers share only Redis, and both cost broker traffic.
            "--without-gossip",
            "--without-mingle",
        ]
    )
    # A supervisor must see from the exit code that the process did not end as requested; Celery does not report it.
    if not started or started[0].exitcode:
        sys.exit(1)


def _end() -> None:
    """End at once: a thread that waits for a silent registry cannot be stopped, and its task is delivered again."""
    LOG.warning("The grace time is over, and a registry is silent: what waits for it goes back to its queue.")
    os._exit(0)
