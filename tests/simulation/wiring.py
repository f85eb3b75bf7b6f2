"""What a virtual worker is made of: the program's own parts, put together as `workers/process` does it.

All that knows how the program is built stands here and in `patches.py`.
"""

from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

import tasks.copy
import tasks.publish
import tasks.push
import tasks.undo
from tasks import contract
from tasks.celery_glue import runtime as glue
from tasks.celery_glue.admission import NotTaken
from tasks.contract import TagMoved
from tasks.coordination.ledger import HashLedger
from tasks.coordination.redis.hashes import RedisHashes
from tasks.coordination.redis.leases import Leases
from tasks.errors import StateUnavailable
from tasks.transfer.watchdog_verdict import Patience
from tests.simulation.broker_model import NOTED, Broker, Results
from tests.simulation.celery_model import App, Tracer
from tests.simulation.decisions import Kind
from tests.simulation.primitives import Event
from tests.simulation.redis_model import Client, Store
from tests.simulation.scheduler import Process, Scheduler
from workers.broker.app import KEY_PREFIX
from workers.broker.intake import Intake
from workers.client.client import CeleryClient
from workers.process.watchdog import Watchdog
from workers.process.worker import make_shared_runtime
from workers.settings import load_settings

_SETTINGS: Final = load_settings({"XDG_STATE_HOME": "/nowhere"})
LEASE_SECONDS: Final = _SETTINGS.lock_seconds


def _function(task: Any) -> Callable[..., Any]:
    """Return the function of a task, which takes the task as its first argument."""
    found: Callable[..., Any] = task.run.__func__
    return found


TRACER: Final = Tracer(
    {
        contract.PUSH_TASK: _function(tasks.push.push),
        contract.COPY_TASK: _function(tasks.copy.copy),
        contract.PUBLISH_TASK: _function(tasks.publish.publish),
        contract.UNDO_TASK: _function(tasks.undo.undo),
    },
    silent=frozenset({contract.COPY_TASK}),
)


class Announcer:
    """Tells the run of each tag that moved."""

    listens = True

    def __init__(self, client: Client, hear: Callable[[TagMoved], None]) -> None:
        self._client = client
        self._hear = hear

    def tag_moved(self, moved: TagMoved) -> None:
        try:
            self._client.ask(f"event {moved.reference}", "event", lambda: self._hear(moved), Kind.EVENT)
        except RedisError as error:
            raise StateUnavailable(f"The broker did not take the event: {type(error).__name__}.") from None


def ledger(client: Client) -> HashLedger:
    """Return the ledger as a producer has it."""
    return HashLedger(RedisHashes(client, _SETTINGS.ledger_seconds))  # type: ignore[arg-type]


def client(redis: Client, broker: Broker, results: Results) -> CeleryClient:
    """Return the client by which somebody sends a push and waits for it."""
    app: Any = App(redis, broker, results)
    return CeleryClient(app, ledger(redis), away=(RedisConnectionError,), patience=_SETTINGS.outage_seconds or 0.0)


def start_worker(
    scheduler: Scheduler,
    process: Process,
    store: Store,
    broker: Broker,
    results: Results,
    hear: Callable[[TagMoved], None],
    *,
    slots: int,
) -> None:
    """Let a process serve the queues, and watch over the pushes; runs in a thread of that process."""
    client: Any = Client(scheduler, store, KEY_PREFIX, _SETTINGS.outage_seconds)
    app: Any = App(client, broker, results)
    leases = Leases(client, _SETTINGS.lock_seconds)
    cancelled: Any = Event()
    announcer = Announcer(client, hear)
    runtime = make_shared_runtime(_SETTINGS, client, leases, announcer, cancelled, most_slow=_SETTINGS.jobs)
    glue.provide(app, lambda: runtime)
    intake = Intake(client, runtime.ledger, lambda: True, _refuse)
    # Keys of the model's queues are its own.
    intake._pass_on = _passing_on(client, broker)  # type: ignore[assignment]
    process.state.update(client=client, app=app, runtime=runtime)
    process.state["take in"] = lambda: _take_in(process, intake, broker, scheduler)
    Watchdog(app, runtime, leases, f"{KEY_PREFIX}watchdog", Patience(_SETTINGS.stall_seconds)).start()
    broker.serve(process, slots)


def _take_in(process: Process, intake: Intake, broker: Broker, scheduler: Scheduler) -> None:
    """Take pushes in as the intake's own loop does, as long as there are some."""
    try:
        intake.take()
    except (RedisConnectionError, StateUnavailable):
        scheduler.sleep(1.0)
    finally:
        process.state["taking in"] = False
    broker.kick()


def _passing_on(client: Client, broker: Broker) -> Callable[..., None]:
    def pass_on(keys: list[str], args: list[Any]) -> None:
        def act() -> None:
            client.commands._hand_over([keys[0], f"queue:{NOTED}"], args)
            broker.kick()

        client.ask("hand over", "queue", act, Kind.BROKER)

    return pass_on


def _refuse(task_id: object, why: NotTaken) -> None:
    raise AssertionError(f"the intake refused {task_id}: {why}")
