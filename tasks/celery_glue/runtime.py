"""The parts of tasks that are made once in each process."""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

from tasks.registry.repository import Registries
from tasks.transfer.ports import Ledger, Runs, TagLocks
from tasks.transfer.steps.copy import CopyStep
from tasks.transfer.steps.publish import PublishStep
from tasks.transfer.steps.push import PushStep


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """The three steps of a push, and the parts of this process that other tasks use.

    `executor` is for work on many tags. `task_tries` bounds the deliveries of a task whose registries do not answer, or
    that ends its worker; `most_tries` bounds the deliveries of a copy that a push may ask for. Tasks wait up to
    `maintenance_seconds` for a registry under maintenance. `away` are the errors of Celery for a broker or result store
    that does not serve; the watchdog then repairs the push.
    """

    push: PushStep
    copy: CopyStep
    publish: PublishStep
    registries: Registries
    ledger: Ledger
    runs: Runs
    locks: TagLocks
    executor: Executor
    task_tries: int
    most_tries: int
    maintenance_seconds: float
    away: tuple[type[Exception], ...] = ()
    clock: Callable[[], float] = time.time

    def tries_of(self, said: int | None) -> int:
        """Return the most deliveries of a task; `said` is the number in its push, if any."""
        return self.task_tries if said is None else min(said, self.most_tries)


_providers: Final[WeakKeyDictionary[Any, Callable[[], Runtime]]] = WeakKeyDictionary()


def provide(app: Any, provider: Callable[[], Runtime]) -> None:
    """Set the provider of the runtime for the tasks of a Celery application."""
    _providers[app] = provider


def of_app(app: Any) -> Runtime:
    """Return the runtime of a Celery application."""
    provider = _providers.get(app)
    if provider is None:
        raise RuntimeError("this Celery application has no runtime: start it with `imagepusher worker`")
    return provider()
