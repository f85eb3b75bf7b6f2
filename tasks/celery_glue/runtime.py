"""What a task needs, made once in each process."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from tasks.registry.repository import Registries
from tasks.transfer.copy.copier import Copier
from tasks.transfer.ports import Announcer, Ledger, Runs, TagLocks
from tasks.transfer.request.target import Target
from tasks.transfer.steps.attempts import Attempts
from tasks.transfer.steps.copy import Copying
from tasks.transfer.steps.publish import Concluding
from tasks.transfer.steps.push import Accepting


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The registries, the coordination with other workers, and the bounds of this process.

    `executor` is for what is done to many tags; the copier has its own. `cancelled` is set when running work is to come
    to an end. `task_tries` bounds the deliveries of a task whose registries do not answer, or that ends its worker;
    `most_tries` bounds those that a push may ask for.
    `away` is what Celery raises where broker or result store do not serve, and a watchdog will see to what that broke.
    """

    registries: Registries
    ledger: Ledger
    runs: Runs
    locks: TagLocks
    copier: Copier
    announcer: Announcer
    targets: Mapping[str, Target]
    executor: Executor
    cancelled: threading.Event
    task_tries: int = 4
    most_tries: int = 4
    away: tuple[type[Exception], ...] = ()
    clock: Callable[[], float] = time.time

    def tries_of(self, said: int | None) -> int:
        """Return how often a copy is delivered whose push says so, or says nothing."""
        return self.task_tries if said is None else min(said, self.most_tries)

    @property
    def attempts(self) -> Attempts:
        """What counts the starts of what may end its worker."""
        return Attempts(self.ledger, self.runs, self.task_tries)

    @property
    def accepting(self) -> Accepting:
        """What takes pushes on."""
        return Accepting(
            self.registries, self.ledger, self.runs, self.targets, self.executor, self.attempts, self.clock
        )

    @property
    def copying(self) -> Copying:
        """What carries copies out."""
        return Copying(self.ledger, self.copier, self.runs, self.attempts)

    @property
    def concluding(self) -> Concluding:
        """What ends pushes."""
        return Concluding(
            self.registries,
            self.ledger,
            self.runs,
            self.locks,
            self.copier,
            self.announcer,
            self.executor,
            self.cancelled,
            self.attempts,
            self.clock,
        )


_providers: Final[WeakKeyDictionary[Any, Callable[[], Runtime]]] = WeakKeyDictionary()


def provide(app: Any, provider: Callable[[], Runtime]) -> None:
    """Let the tasks of a Celery application find their runtime by `provider`."""
    _providers[app] = provider


def of(app: Any) -> Runtime:
    """Return the runtime of a Celery application."""
    provider = _providers.get(app)
    if provider is None:
        raise RuntimeError("this Celery application has no runtime: start it with `imagepusher worker`")
    return provider()
