"""The runtime of pushes without a broker: the parts of a worker, shared by the threads of this process."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from tasks.celery_glue.runtime import Runtime
from tasks.coordination.coordination import Coordination
from tasks.coordination.local.in_process import (
    KeyLocks,
    LocalBlobLocations,
    LocalBudgets,
    LocalRuns,
    LocalSingleFlight,
)
from tasks.coordination.local.tag_locks import FileTagLocks
from tasks.registry.settings import RegistryConfiguration
from tasks.registry.upload_forms import LocalUploadForms
from workers.ledger import open_hashes, open_hashes_to_look
from workers.process.assembly import make_runtime
from workers.process.plugins import PluginAnnouncer, load_plugins
from workers.settings import Settings

# A person waits: after the HTTP retries, a silent registry is tried once more, not for minutes.
_TASK_TRIES: Final = 2


@contextmanager
def embedded_runtime(
    settings: Settings, registries: RegistryConfiguration, cancelled: threading.Event, *, remembers: bool = True
) -> Iterator[Runtime]:
    """Yield a runtime whose ledger and tag locks are in the state directory; `cancelled` stops its copies.

    A process that writes to no registry can use `remembers=False`. All resources are closed at the end: a program may
    embed pushes repeatedly.
    """
    with ExitStack() as closing:
        hashes = open_hashes(settings) if remembers else open_hashes_to_look(settings)
        closing.callback(hashes.close)
        locks = KeyLocks()
        shared = Coordination(
            hashes=hashes,
            runs=LocalRuns(locks, settings.lock_wait_seconds),
            locks=FileTagLocks(settings.state_dir / "tags", locks, settings.lock_wait_seconds),
            flights=LocalSingleFlight(locks, settings.copy_seconds),
            locations=LocalBlobLocations(),
            budgets=LocalBudgets(),
            forms=LocalUploadForms(),
        )
        yield make_runtime(
            settings,
            registries,
            shared,
            announcer=PluginAnnouncer(load_plugins()),
            task_tries=_TASK_TRIES,
            cancelled=cancelled,
            closing=closing,
        )
