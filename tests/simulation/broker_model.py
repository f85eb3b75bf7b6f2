"""Celery and its broker on Redis, as far as the program leans on them.

A message is delivered at least once: it is taken, kept among the unacknowledged ones until its task ended, and goes
back to its queue when it is restored. Chords are counted in Redis as Celery 5.7 counts them: each part once by task and
place, one claim for the callback, which lasts some seconds, and a mark that it was sent. Each of these is a key that
may be lost.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError

from tasks import contract
from tests.simulation.decisions import Kind
from tests.simulation.redis_model import Client, Store
from tests.simulation.scheduler import EPOCH, Process, Scheduler, Thread

NOTED: Final = "imagepusher.push.noted"
_UNACKED: Final = "unacked"
_DAY: Final = 86_400.0
_CLAIM_SECONDS: Final = 6.0
_DONE_SECONDS: Final = 300.0
_QUEUE_OF: Final = {
    contract.PUSH_TASK: contract.PUSH_QUEUE,
    contract.COPY_TASK: contract.COPY_QUEUE,
    contract.PUBLISH_TASK: contract.PUBLISH_QUEUE,
    contract.UNDO_TASK: contract.PUBLISH_QUEUE,
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a task; `eta` is in virtual seconds, `group` and `index` are those of its chord."""

    task: str
    task_id: str
    args: tuple[Any, ...]
    retries: int = 0
    eta: float = 0.0
    redelivered: bool = False
    group: str | None = None
    index: int = 0
    callback: "Message | None" = None

    @property
    def push_id(self) -> str:
        """The push that it is for."""
        first = self.args[0]
        return contract.push_id_of(first, self.task_id) if isinstance(first, dict) else str(first)

    @property
    def shown(self) -> str:
        """The task in short."""
        name = self.task.removeprefix("imagepusher.").removesuffix(".v1")
        of_digest = f"@{str(self.args[1])[7:15]}" if len(self.args) > 1 else ""
        return f"{name} {self.push_id}{of_digest}"


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that a worker took, and when."""

    message: Message
    queue: str
    when: float


class Broker:
    """The queues of a run. `take` is what a worker does with a message."""

    def __init__(self, scheduler: Scheduler, store: Store, take: Callable[[Process, str, Taken], None]) -> None:
        self._scheduler = scheduler
        self._store = store
        self._take = take
        self._workers: list[Process] = []
        self._takers = 0
        self._tags = 0
        self._kicked = False

    def serve(self, worker: Process, slots: int) -> None:
        """Let a process take messages, so many at once."""
        worker.state["slots"] = slots
        self._workers = [each for each in self._workers if each.alive] + [worker]
        self.kick()

    def send(self, client: Client, message: Message) -> None:
        """Put a message into the queue of its task; raises RedisConnectionError."""
        queue = _QUEUE_OF[message.task]
        # Pushes lie as bytes where their intake looks for them.
        if queue == contract.PUSH_QUEUE and message.task == contract.PUSH_TASK and not message.retries:
            key, what = f"imagepusher:{queue}", encode(message)
        else:
            key, what = _key(NOTED if queue == contract.PUSH_QUEUE else queue), message  # type: ignore[assignment]

        def put() -> None:
            self._store.change(key, list).insert(0, what)
            self.kick()

        client.ask(f"send {message.shown}", "queue", put, Kind.BROKER)

    def acknowledge(self, client: Client, tag: str) -> None:
        """Forget a message whose task ended."""
        client.ask("acknowledge", "unacked", lambda: self._forget(tag), Kind.BROKER)

    def give_back(self, client: Client, tag: str) -> None:
        """Put a message back that was taken."""
        client.ask("give back", "unacked", lambda: self.restore(tag), Kind.BROKER)

    def restore(self, tag: str) -> bool:
        """Put a message back, as happens to one that nobody acknowledged in time; False if it is gone."""
        taken = self._forget(tag)
        if taken is None:
            return False
        self._store.change(_key(taken.queue), list).append(replace(taken.message, redelivered=True))
        self.kick()
        return True

    def unacknowledged(self) -> dict[str, Taken]:
        """Return what was taken and not acknowledged."""
        return dict(self._store.find(_UNACKED) or {})

    def lengths(self) -> dict[str, int]:
        """Return how many messages wait."""
        noted = len(self._store.find(_key(NOTED)) or [])
        waiting = {queue: len(self._store.find(_key(queue)) or []) for queue in contract.QUEUES}
        waiting[contract.PUSH_QUEUE] = noted + len(self._store.find(f"imagepusher:{contract.PUSH_QUEUE}") or [])
        return waiting

    def hold_up(self, choice: int, seconds: float) -> None:
        """Let a message that waits come later."""
        waiting = [key for key in (_key(queue) for queue in (*contract.QUEUES, NOTED)) if self._store.find(key)]
        if not waiting:
            return
        key = waiting[choice % len(waiting)]
        message = self._store.change(key, list).pop()

        def come() -> None:
            self._store.change(key, list).append(message)
            self.kick()

        self._scheduler.at(self._scheduler.now + seconds, come)

    def deliver_again(self, choice: int) -> None:
        """Put a message back whose task is still running, as a timeout that is too short does."""
        tags = sorted(self.unacknowledged())
        if tags:
            self.restore(tags[choice % len(tags)])

    def wake(self, thread: Thread) -> None:
        """Let a thread go on that waits."""
        self._scheduler.wake(thread)

    def sleep(self, seconds: float, waiting: list[Thread]) -> None:
        """Let the running thread wait for some time, or until it is woken as one of those that are `waiting`."""
        thread = self._scheduler.thread
        waiting.append(thread)
        try:
            self._scheduler.sleep(seconds)
        finally:
            waiting.remove(thread)

    def kick(self) -> None:
        """Let workers look for messages."""
        if not self._kicked:
            self._kicked = True
            self._scheduler.at(self._scheduler.now, self._look)

    def wait_for_slot(self, worker: Process) -> None:
        """Take a slot of the process of the running thread."""
        while worker.state["slots"] <= 0:
            self._scheduler.sleep(0.1)
        worker.state["slots"] -= 1

    def free_slot(self, worker: Process) -> None:
        """Let the process take another message."""
        worker.state["slots"] += 1
        self.kick()

    def _look(self) -> None:
        self._kicked = False
        now = self._scheduler.now
        awake = [worker for worker in self._workers if worker.alive]
        for worker in awake:
            if worker.stopped_until > now and not worker.state.get("to be kicked"):
                worker.state["to be kicked"] = True
                self._scheduler.at(worker.stopped_until, lambda worker=worker: self._again(worker))  # type: ignore[misc]
        able = [worker for worker in awake if worker.stopped_until <= now]
        if self._store.find(f"imagepusher:{contract.PUSH_QUEUE}") or self._store.find(
            f"imagepusher:{contract.PUSH_QUEUE}.intake"
        ):
            for worker in able:
                if not worker.state.get("taking in"):
                    worker.state["taking in"] = True
                    self._scheduler.spawn(worker, f"{worker.name}/intake", worker.state["take in"])
        for queue in (NOTED, contract.COPY_QUEUE, contract.PUBLISH_QUEUE):
            waiting = len(self._store.find(_key(queue)) or [])
            for _ in range(waiting):
                free = [worker for worker in able if worker.state["slots"] > 0]
                if not free:
                    return
                self._takers += 1
                chance = self._scheduler.decisions.chance(f"take {queue} {self._takers}")
                if self._scheduler.decisions.swarm.spreads:
                    most = max(worker.state["slots"] for worker in free)
                    free = [worker for worker in free if worker.state["slots"] == most]
                worker = free[int(chance * len(free))]
                worker.state["slots"] -= 1
                self._scheduler.spawn(worker, f"{worker.name}/take {queue}", self._taker(worker, queue))

    def _again(self, worker: Process) -> None:
        worker.state["to be kicked"] = False
        self.kick()

    def _taker(self, worker: Process, queue: str) -> Callable[[], None]:
        def run() -> None:
            client: Client = worker.state["client"]
            try:
                tag, taken = client.ask(f"take from {queue}", "queue", lambda: self._pop(queue), Kind.TAKE)
            except RedisConnectionError:
                tag, taken = "", None
            if taken is None:
                self.free_slot(worker)
                return
            self._take(worker, tag, taken)

        return run

    def _pop(self, queue: str) -> tuple[str, Taken | None]:
        if not self._store.find(_key(queue)):
            return "", None
        waiting = self._store.change(_key(queue), list)
        message = waiting.pop()
        if not waiting:
            self._store.drop(_key(queue))
        if isinstance(message, bytes):
            message = decode(message)
        self._tags += 1
        tag = f"tag{self._tags:04d}"
        taken = Taken(message, queue, self._scheduler.now)
        self._store.change(_UNACKED, dict)[tag] = taken
        return tag, taken

    def _forget(self, tag: str) -> Taken | None:
        if tag not in (self._store.find(_UNACKED) or {}):
            return None
        found: Taken = self._store.change(_UNACKED, dict).pop(tag)
        return found


class Results:
    """The result store, with the counters of chords."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self.on_keep: Callable[[str, str, Any], None] = lambda _task_id, _state, _value: None
        self._waiting: dict[str, list[Thread]] = {}
        self._store = store
        self._broker = broker

    def keep(self, client: Client, task_id: str, value: Any, state: str) -> None:
        """Store a result; raises RedisConnectionError."""

        def put() -> None:
            self._store.put(f"result:{task_id}", (state, value), _DAY)
            self.on_keep(task_id, state, value)
            for thread in self._waiting.get(task_id, ()):
                self._broker.wake(thread)

        client.ask(f"store the result of {task_id}", "result", put, Kind.BROKER)

    def wait(self, seconds: float, task_id: str) -> None:
        """Let the running thread wait until a result is stored, or for so long."""
        self._broker.sleep(seconds, self._waiting.setdefault(task_id, []))

    def find(self, task_id: str) -> tuple[str, Any]:
        """Return the state and the value of a result."""
        found: tuple[str, Any] | None = self._store.find(f"result:{task_id}")
        return found or ("PENDING", None)

    def set_size(self, client: Client, group: str, size: int) -> None:
        """Note how many parts a chord has."""
        client.ask(
            f"size of {group}",
            "chord",
            lambda: self._store.put(f"chord:{group}:size", size, 7 * _DAY),
            Kind.BROKER,
        )

    def count(self, client: Client, message: Message) -> None:
        """Count a part of a chord that ended, and send the callback after the last one."""
        if message.group is None or message.callback is None:
            return
        group = message.group
        token = message.task_id
        if not client.ask(f"count {group}", "chord", lambda: self._count(group, message, token), Kind.BROKER):
            return
        if not client.ask(f"claim {group}", "chord", lambda: self._extend(group, token), Kind.BROKER):
            return
        self._broker.send(client, message.callback)
        client.ask(f"clean {group}", "chord", lambda: self._clean(group, token), Kind.BROKER)

    def forget_chord(self, choice: int) -> None:
        """Lose one of the keys by which a chord is counted."""
        keys = sorted(key for key in self._store.names() if key.startswith("chord:"))
        if keys:
            self._store.drop(keys[choice % len(keys)])

    def _count(self, group: str, message: Message, token: str) -> bool:
        claim = self._store.find(f"chord:{group}:claim")
        if claim == "done":
            return False
        parts = self._store.change(f"chord:{group}:parts", dict)
        parts[f"{message.task_id}:{message.index}"] = None
        self._store.end_in(f"chord:{group}:parts", 7 * _DAY)
        if len(parts) != self._store.find(f"chord:{group}:size") or claim is not None:
            return False
        self._store.put(f"chord:{group}:claim", token, _CLAIM_SECONDS)
        return True

    def _extend(self, group: str, token: str) -> bool:
        if self._store.find(f"chord:{group}:claim") != token:
            return False
        self._store.put(f"chord:{group}:claim", token, 2 * _CLAIM_SECONDS)
        return True

    def _clean(self, group: str, token: str) -> None:
        if self._store.find(f"chord:{group}:claim") == token:
            self._store.put(f"chord:{group}:claim", "done", _DONE_SECONDS)
            self._store.drop(f"chord:{group}:parts")
            self._store.drop(f"chord:{group}:size")


def encode(message: Message) -> bytes:
    """Return the message of a push as a producer writes it."""
    body = json.dumps([list(message.args), {}, {}])
    headers = {"task": message.task, "id": message.task_id}
    return json.dumps(
        {
            "headers": headers,
            "body": body,
            "properties": {"delivery_tag": message.task_id},
            "content-type": "application/json",
            "content-encoding": "utf-8",
        }
    ).encode()


def decode(content: bytes) -> Message:
    """Read what `encode` wrote."""
    document = json.loads(content)
    return Message(document["headers"]["task"], document["headers"]["id"], tuple(json.loads(document["body"])[0]))


def wall(eta: float) -> float:
    """Return virtual seconds as seconds since the epoch, 0 as it is."""
    return EPOCH + eta if eta else 0.0


def _key(queue: str) -> str:
    return f"queue:{queue}"
