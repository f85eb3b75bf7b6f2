"""Assembly of a runtime; the differences between a broker's workers and the embedded worker are arguments."""

import threading
import time
from contextlib import ExitStack
from typing import Final

from tasks.celery_glue.runtime import Runtime
from tasks.coordination.coordination import Coordination
from tasks.coordination.ledger import HashLedger
from tasks.registry.registry_share import Visits
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.copy.copier import Copier
from tasks.transfer.copy.limits import CopyLimits
from tasks.transfer.lost_starts import Attempts
from tasks.transfer.ports import Announcer, BlobSharing
from tasks.transfer.publish.parts import Publishing
from tasks.transfer.steps.copy import CopyStep
from tasks.transfer.steps.publish import PublishStep
from tasks.transfer.steps.push import PushStep
from workers.observability.threads import ContextThreads
from workers.settings import Settings

# Small requests wait for the network, not for the processor: there may be more of them at once than jobs.
_THREADS_A_JOB: Final = 4


def make_runtime(
    settings: Settings,
    registries: RegistryConfiguration,
    shared: Coordination,
    *,
    announcer: Announcer,
    task_tries: int,
    cancelled: threading.Event,
    closing: ExitStack,
    most_slow: int | None = None,
    away: tuple[type[Exception], ...] = (),
) -> Runtime:
    """Return the runtime of this process; `closing` receives the callbacks that close connections and end threads.

    At most `most_slow` copies that wait for one slow registry run at once (None: any number).
    """
    clients = Registries(registries, shared.budgets, shared.forms)
    closing.callback(clients.close)
    blobs = _threads(settings, "blob", closing)
    copier = Copier(
        clients,
        BlobSharing(shared.locations, shared.flights),
        blobs,
        CopyLimits(settings.jobs, most_at_once(settings.jobs), settings.copy_seconds, Visits(most_slow)),
        cancelled,
    )
    ledger = HashLedger(shared.hashes, history_seconds=settings.history_seconds)
    attempts = Attempts(ledger, shared.runs, task_tries)
    executor = _threads(settings, "tag", closing)
    publishing = Publishing(
        registries=clients,
        ledger=ledger,
        locks=shared.locks,
        copier=copier,
        announcer=announcer,
        executor=executor,
        requests=blobs,
        cancelled=cancelled,
        attempts=attempts,
        receipt_key=settings.receipt_key,
        clock=time.time,
    )
    return Runtime(
        push=PushStep(
            registries=clients,
            ledger=ledger,
            runs=shared.runs,
            targets=settings.targets,
            policy=settings.trust.policy,
            trust=settings.trust_root,
            executor=executor,
            attempts=attempts,
            clock=time.time,
        ),
        copy=CopyStep(ledger=ledger, copier=copier, runs=shared.runs, attempts=attempts),
        publish=PublishStep(parts=publishing, runs=shared.runs, clock=time.time),
        registries=clients,
        ledger=ledger,
        runs=shared.runs,
        locks=shared.locks,
        executor=executor,
        task_tries=task_tries,
        most_tries=settings.task_tries,
        maintenance_seconds=settings.maintenance_seconds,
        away=away,
        clock=time.time,
    )


def most_at_once(jobs: int) -> int:
    """Return how many transfers may be under way where `jobs` are too few for the line; one job stays alone."""
    return 1 if jobs == 1 else _THREADS_A_JOB * jobs


def _threads(settings: Settings, name: str, closing: ExitStack) -> ContextThreads:
    threads = ContextThreads(_THREADS_A_JOB * settings.jobs, thread_name_prefix=name)
    # Work that waits for a silent registry cannot be stopped: do not wait for it.
    closing.callback(threads.shutdown, wait=False, cancel_futures=True)
    return threads
