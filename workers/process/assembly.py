"""The parts of a runtime, put together: what differs between a broker's workers and the embedded one comes in."""

import threading
import time
from typing import Final

from tasks.celery_glue.runtime import Runtime
from tasks.coordination.hashes import Hashes
from tasks.coordination.ledger import HashLedger
from tasks.registry.budget import Budgets
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.attempts import Attempts
from tasks.transfer.copy.copier import Copier
from tasks.transfer.ports import Announcer, BlobLocations, Runs, SingleFlight, TagLocks
from tasks.transfer.publish.delivery import Publishing
from tasks.transfer.steps.copy import CopyStep
from tasks.transfer.steps.publish import PublishStep
from tasks.transfer.steps.push import PushStep
from workers.observability.threads import ContextThreads
from workers.settings import Settings

# Requests that carry little wait for the network, not for the processor: more of them may be on their way than jobs.
_THREADS_A_JOB: Final = 4


def make_runtime(
    settings: Settings,
    registries: RegistryConfiguration,
    hashes: Hashes,
    *,
    budgets: Budgets,
    locations: BlobLocations,
    flights: SingleFlight,
    runs: Runs,
    locks: TagLocks,
    announcer: Announcer,
    task_tries: int,
    cancelled: threading.Event,
    away: tuple[type[Exception], ...] = (),
) -> Runtime:
    """Return the runtime of this process."""
    shared = Registries(registries, budgets)
    copier = Copier(
        shared,
        locations,
        flights,
        ContextThreads(_THREADS_A_JOB * settings.jobs, thread_name_prefix="blob"),
        settings.jobs,
        cancelled,
        settings.copy_seconds,
    )
    ledger = HashLedger(hashes)
    attempts = Attempts(ledger, runs, task_tries)
    executor = ContextThreads(_THREADS_A_JOB * settings.jobs, thread_name_prefix="tag")
    publishing = Publishing(
        registries=shared,
        ledger=ledger,
        locks=locks,
        copier=copier,
        announcer=announcer,
        executor=executor,
        cancelled=cancelled,
        attempts=attempts,
    )
    return Runtime(
        push=PushStep(
            registries=shared,
            ledger=ledger,
            runs=runs,
            targets=settings.targets,
            executor=executor,
            attempts=attempts,
            clock=time.time,
        ),
        copy=CopyStep(ledger=ledger, copier=copier, runs=runs, attempts=attempts),
        publish=PublishStep(parts=publishing, runs=runs, clock=time.time),
        registries=shared,
        ledger=ledger,
        runs=runs,
        locks=locks,
        executor=executor,
        task_tries=task_tries,
        away=away,
    )
