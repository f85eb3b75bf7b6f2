"""The Celery application of a virtual worker: it runs the program's own task functions as Celery's tracer does."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from celery import states
from celery.exceptions import Ignore, Reject, Retry
from celery.exceptions import TimeoutError as CeleryTimeout
from redis.exceptions import ConnectionError as RedisConnectionError

from tasks import contract
from tests.simulation.broker_model import Broker, Message, Results, Taken
from tests.simulation.primitives import UUID, current
from tests.simulation.redis_model import Client
from tests.simulation.scheduler import Process

_LOOK_SECONDS = 20.0
_CONFIGURATION = SimpleNamespace(worker_send_task_events=False, broker_url="redis://model")


class App:
    """What product code takes for its Celery application, in one process."""

    def __init__(self, client: Client, broker: Broker, results: Results) -> None:
        self.conf = _CONFIGURATION
        self.client = client
        self.broker = broker
        self.results = results
        self.backend = SimpleNamespace(store_result=self._store)

    def signature(self, task: str, args: tuple[Any, ...], **_: Any) -> "Signature":
        return Signature(self, task, args)

    def send_task(self, task: str, args: list[Any], task_id: str) -> None:
        self.broker.send(self.client, Message(task, task_id, tuple(args)))

    def AsyncResult(self, task_id: str) -> "AsyncResult":  # noqa: N802 - Celery's name
        return AsyncResult(self, task_id)

    def _store(self, task_id: str, value: Any, state: str) -> None:
        self.results.keep(self.client, task_id, value, state)


class AsyncResult:
    """The result of a task, asked for at each look."""

    def __init__(self, app: App, task_id: str) -> None:
        self._app = app
        self._task_id = task_id

    @property
    def state(self) -> str:
        return self._find()[0]

    @property
    def result(self) -> Any:
        return self._find()[1]

    def get(self, timeout: float, interval: float) -> Any:
        """Wait for the result, longer than asked for: a run need not look five times a second."""
        del timeout, interval
        state, value = self._find()
        if state not in states.READY_STATES:
            self._app.results.wait(_LOOK_SECONDS, self._task_id)
            raise CeleryTimeout
        if isinstance(value, Exception):
            raise value
        return value

    def _find(self) -> tuple[str, Any]:
        app = self._app
        found: tuple[str, Any] = app.client.ask(
            "GET", f"result:{self._task_id}", lambda: app.results.find(self._task_id)
        )
        return found


class Signature:
    """A task that is to be sent."""

    def __init__(self, app: App, task: str, args: tuple[Any, ...]) -> None:
        self.options: dict[str, Any] = {}
        self._app = app
        self._task = task
        self._args = args

    def message(self, task_id: str, **more: Any) -> Message:
        return Message(self._task, task_id, self._args, **more)

    def apply_async(self, task_id: str) -> None:
        self._app.broker.send(self._app.client, self.message(task_id))


class Chord:
    """A chord that is to be sent: its callback has the id that the whole is waited for."""

    def __init__(self, header: list[Signature], body: Signature, app: App) -> None:
        self._header = header
        self._body = body
        self._app = app

    def apply_async(self, task_id: str) -> None:
        app, callback, group = self._app, self._body.message(task_id), UUID.uuid4().hex
        messages = [
            signature.message(UUID.uuid4().hex, group=group, index=index, callback=callback)
            for index, signature in enumerate(self._header)
        ]
        for message in messages[:-1]:
            app.broker.send(app.client, message)
        # Celery tells the size right before the last part.
        app.results.set_size(app.client, group, len(messages))
        app.broker.send(app.client, messages[-1])


class Task:
    """What a task function gets as `self`."""

    def __init__(self, app: App, message: Message) -> None:
        self.app = app
        self._message = message
        self.request = SimpleNamespace(
            id=message.task_id,
            retries=message.retries,
            delivery_info={"redelivered": message.redelivered},
            hostname="model",
            argsrepr=None,
        )

    def replace(self, canvas: Any) -> None:
        canvas.apply_async(task_id=self.request.id)
        raise Ignore

    def retry(self, countdown: float, throw: bool, **_: Any) -> Retry:
        del throw
        message = self._message
        successor = Message(
            message.task,
            message.task_id,
            message.args,
            message.retries + 1,
            current().now + countdown,
            False,
            message.group,
            message.index,
            message.callback,
        )
        try:
            self.app.broker.send(self.app.client, successor)
        except RedisConnectionError as error:
            raise Reject(error, requeue=False) from None
        return Retry(None, None, countdown)  # type: ignore[arg-type]  # Celery takes any number


class Tracer:
    """Carries messages out by `functions`, the program's own, by the name of the task."""

    def __init__(self, functions: dict[str, Callable[..., Any]], silent: frozenset[str]) -> None:
        self._functions = functions
        self._silent = silent

    def work(self, worker: Process, tag: str, taken: Taken) -> None:
        """Run one message, which occupies a slot of the worker, in a thread of its own."""
        app: App = worker.state["app"]
        message = taken.message

        def run() -> None:
            try:
                wait = message.eta - current().now
                if wait > 0:
                    app.broker.free_slot(worker)
                    current().sleep(wait)
                    app.broker.wait_for_slot(worker)
                self._trace(app, tag, message)
            except RedisConnectionError:
                # Celery's consumer starts anew; what it had taken is delivered again.
                pass
            finally:
                app.broker.free_slot(worker)

        thread = current().spawn(worker, f"{worker.name}/{message.shown}", run, message.push_id)
        if message.task == contract.UNDO_TASK:
            # What an undo writes is no work of the push.
            thread.push_id = "undo"

    def _trace(self, app: App, tag: str, message: Message) -> None:
        task = Task(app, message)
        state: str = states.SUCCESS
        value: Any = None
        try:
            value = self._functions[message.task](task, *message.args)
        except (Ignore, Retry):
            app.broker.acknowledge(app.client, tag)
            return
        except Reject as rejected:
            if vars(rejected)["requeue"]:
                app.broker.give_back(app.client, tag)
            else:
                app.broker.acknowledge(app.client, tag)
            return
        except Exception as error:  # noqa: BLE001 - it is the result
            state, value = states.FAILURE, error
        if message.task not in self._silent:
            app.results.keep(app.client, message.task_id, value, state)
        if message.group is not None and state == states.FAILURE and message.callback is not None:
            app.results.keep(app.client, message.callback.task_id, value, states.FAILURE)
        else:
            app.results.count(app.client, message)
        app.broker.acknowledge(app.client, tag)
