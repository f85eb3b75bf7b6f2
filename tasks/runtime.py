"""What a task needs, made once in each process."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from tasks.registry.repository import Registries
from tasks.transfer.accept import Accepting
from tasks.transfer.conclude import Concluding
from tasks.transfer.copy import Copier
from tasks.transfer.ports import Ledger, TagLocks
from tasks.transfer.target import Target


@dataclass(frozen=True)
class Runtime:
    """The registries, the coordination with other workers, and the bounds of this process.

    `executor` is for what is done to many tags; the copier has its own. `task_tries` bounds the deliveries of a push
    whose registries do not answer.
    """

    registries: Registries
    ledger: Ledger
    locks: TagLocks
    copier: Copier
    targets: Mapping[str, Target]
    executor: Executor
    task_tries: int = Target.tries
    clock: Callable[[], float] = time.time

    @property
    def accepting(self) -> Accepting:
        """What takes pushes on."""
        return Accepting(self.registries, self.ledger, self.targets, self.executor, self.clock)

    @property
    def concluding(self) -> Concluding:
        """What ends them."""
        return Concluding(self.registries, self.ledger, self.locks, self.copier, self.executor, self.clock)


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
