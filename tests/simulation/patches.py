"""The names that product code gets replaced for a run: one table.

Each module of the program, and redis-py's lock, looks time, threads and chance up by a name. For a run these names
stand for the virtual ones. Functions that keep one as a default value get that replaced, too. What a push imports late
is imported here: it would come with the real ones.
"""

import concurrent.futures
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, SimpleNamespace
from typing import Any, Final

import redis.lock

import tasks.celery_glue.canvas
import tasks.registry.repository.registries
import tasks.transfer.plan.required_signatures
import tasks.transfer.publish.receipts
import tasks.transfer.publish.releases
import workers.process.assembly
import workers.process.watchdog
import workers.process.worker
from tasks.coordination.redis.budgets import RedisBudgets
from tasks.registry.budget import UnboundedBudgets
from tests.simulation import celery_model, primitives, transport
from tests.simulation.broker_model import wall
from tests.simulation.redis_model import LeaseWaits
from workers.broker.messages import TaskMessage
from workers.broker.reclaim import _part_of

_PREFIXES: Final = ("tasks", "workers.process", "workers.broker.intake", "workers.client", "redis.lock")

# By identity: whatever name a module has for it.
_MODULES: Final[tuple[tuple[Any, Any], ...]] = (
    (time, primitives.TIME),
    (threading, primitives.THREADING),
    (random, primitives.RANDOM),
    (uuid, primitives.UUID),
    (concurrent.futures.wait, primitives.wait),
)
_DEFAULTS: Final[tuple[tuple[Any, Any], ...]] = (
    (time.time, primitives.wall),
    (time.monotonic, primitives.monotonic),
    (time.sleep, primitives.sleep),
    (random.random, primitives.chance),
)


def _reclaim(app: celery_model.App, runs: Any, taken_before: float) -> int:
    """Do what `workers.broker.reclaim.reclaim` does, on the model's broker."""
    reclaimed = 0
    unacked = app.client.ask("GET", "unacked", app.broker.unacknowledged)
    for tag, taken in unacked.items():
        message = taken.message
        read = TaskMessage(message.task, message.task_id, list(message.args), wall(message.eta))
        part = _part_of(read) if wall(taken.when or 1e-9) <= taken_before and read.due <= taken_before else None
        if part is None or runs.is_held(*part):
            continue
        app.client.ask("restore", "unacked", lambda tag=tag: app.broker.restore(tag))  # type: ignore[misc]
        reclaimed += 1
    return reclaimed


def _queue_lengths(app: celery_model.App) -> dict[str, int]:
    lengths: dict[str, int] = app.client.ask("LLEN", "queues", app.broker.lengths)
    return lengths


def _budgets(client: Any, prefix: str) -> Any:
    """Return the budgets of a process: in most runs there are none, since each asks Redis twice a second."""
    return RedisBudgets(client, prefix) if primitives.current().budgets else UnboundedBudgets()


# By module and name: what leads to Celery, the broker and the network.
_NAMES: Final[tuple[tuple[Any, str, Any], ...]] = (
    (tasks.registry.repository.registries, "Transport", transport.Transport),
    (tasks.registry.repository.registries, "CredentialStore", lambda _configuration: None),
    (tasks.celery_glue.canvas, "chord", celery_model.Chord),
    (workers.process.assembly, "ContextThreads", primitives.pool),
    (workers.process.worker, "RedisBudgets", _budgets),
    (workers.process.watchdog, "reclaim", _reclaim),
    (workers.process.watchdog, "queue_lengths", _queue_lengths),
    (redis.lock.Lock, "lua_release", None),
    (redis.lock.Lock, "lua_extend", None),
    (redis.lock.Lock, "lua_reacquire", None),
)


@contextmanager
def virtual() -> Iterator[None]:
    """Let product code live in virtual time for the block."""
    undo: list[tuple[Any, str, Any]] = []

    def put(owner: Any, name: str, value: Any) -> None:
        undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    for module in _product_modules():
        for name, found in list(vars(module).items()):
            _replace(module, name, found, _MODULES, put)
            for function in _functions(found):
                _replace_defaults(function, put)
    for owner, name, value in _NAMES:
        put(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in reversed(undo):
            setattr(owner, name, value)


def lease_waits(waits: LeaseWaits) -> None:
    """Let redis-py's lock sleep until a lease may be free; holds until the names are put back."""
    redis.lock.mod_time = SimpleNamespace(monotonic=primitives.monotonic, sleep=waits.sleep)  # type: ignore[assignment, attr-defined]


def _product_modules() -> list[Any]:
    return [
        module
        for name, module in sorted(sys.modules.items())
        if any(name == prefix or name.startswith(f"{prefix}.") for prefix in _PREFIXES)
    ]


def _replace(owner: Any, name: str, found: Any, table: tuple[tuple[Any, Any], ...], put: Any) -> None:
    stand_in = _stand_in(found, table)
    if stand_in is not found:
        put(owner, name, stand_in)


def _replace_defaults(function: FunctionType, put: Any) -> None:
    if function.__defaults__:
        put(function, "__defaults__", tuple(_stand_in(value, _DEFAULTS) for value in function.__defaults__))
    if function.__kwdefaults__:
        named = {name: _stand_in(value, _DEFAULTS) for name, value in function.__kwdefaults__.items()}
        put(function, "__kwdefaults__", named)


def _stand_in(found: Any, table: tuple[tuple[Any, Any], ...]) -> Any:
    return next((virtual for real, virtual in table if found is real), found)


def _functions(found: Any) -> Iterator[FunctionType]:
    if isinstance(found, FunctionType):
        yield found
    elif isinstance(found, type) and found.__module__.startswith("tasks"):
        yield from (each for each in vars(found).values() if isinstance(each, FunctionType))
