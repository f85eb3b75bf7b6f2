"""Workers that harm themselves at chosen points: the program that runs one, and how a test arms a point.

`python -m tests.support.chaos URL worker …` is `imagepusher worker …` that asks the Redis at URL, at each point that it
passes, whether to go on. Whichever worker comes by first is the one that is harmed.
"""

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal, NamedTuple, cast

import redis

# Names the seconds that a worker has, after its grace time, to give back what it holds; a busy machine needs more.
LAST_MOMENTS = "CHAOS_LAST_MOMENTS"

Act = Literal["kill", "stop", "meet", "sleep"]

_PREFIX = "chaos:"
_ACTED = f"{_PREFIX}acted"
_MEETING_SECONDS = 5.0


class Point(NamedTuple):
    """A place in the code: just before, or just after, a method runs."""

    module: str
    method: str
    when: Literal["before", "after"]


POINTS = {
    "message taken": Point("workers.broker.transport", "_QoS.append", "before"),
    "part begins": Point("tasks.coordination.redis.part_locks", "LeasedRuns.hold", "before"),
    "push accepted": Point("tasks.coordination.ledger", "HashLedger.accept", "after"),
    "plan is saved": Point("tasks.coordination.ledger", "HashLedger.save_plan", "before"),
    "plan saved": Point("tasks.coordination.ledger", "HashLedger.save_plan", "after"),
    "push marked as sent": Point("tasks.coordination.ledger", "HashLedger.mark_sent", "after"),
    "message is sent": Point("kombu.messaging", "Producer.publish", "before"),
    "copy begins": Point("tasks.transfer.copy.copier", "Copier.copy", "before"),
    "outcome recorded": Point("tasks.coordination.ledger", "HashLedger.record_copy", "after"),
    "callback is sent": Point("celery.app.amqp", "AMQP._retry_publish", "before"),
    "callback sent": Point("celery.app.amqp", "AMQP._retry_publish", "after"),
    "tag is taken": Point("tasks.coordination.redis.tag_locks", "LeasedTagLocks.hold", "before"),
    "intent noted": Point("tasks.coordination.ledger", "HashLedger.record_intent", "after"),
    "manifest is put": Point("tasks.registry.repository", "Repository.push_manifest", "before"),
    "manifest put": Point("tasks.registry.repository", "Repository.push_manifest", "after"),
    "tag recorded": Point("tasks.coordination.ledger", "HashLedger.record_tag", "after"),
    "report is built": Point("tasks.coordination.ledger", "HashLedger.finish", "before"),
    "push finished": Point("tasks.coordination.ledger", "HashLedger.finish", "after"),
    "result stored": Point("celery.backends.base", "Backend.store_result", "after"),
}


class Acted(NamedTuple):
    """What a worker did to itself, and which one."""

    point: str
    act: str
    pid: int


class Arms:
    """Decide what happens to the workers that come by."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def arm(self, point: str, act: Act = "kill", *, match: str = "", nth: int = 1, times: int = 1) -> None:
        """Let the `nth` passage, and the `times - 1` after it, be harmful; only those whose arguments show `match`."""
        if point not in POINTS:
            raise ValueError(f"no point is called {point!r}")
        fields = {"act": act, "match": match, "skip": nth - 1, "times": times}
        self._client.hset(f"{_PREFIX}{point}", mapping=cast("Any", fields))

    def acted(self) -> list[Acted]:
        """Return what was done so far, oldest first."""
        lines = cast("list[bytes]", self._client.lrange(_ACTED, 0, -1))
        return [Acted(point, act, int(pid)) for point, act, pid in (line.decode().split("|") for line in lines)]

    def clear(self) -> None:
        """Disarm all points, and forget what was done."""
        for key in self._client.scan_iter(f"{_PREFIX}*"):
            self._client.delete(key)


def _harmed(client: redis.Redis, point: str, shown: Callable[[], str]) -> None:
    key = f"{_PREFIX}{point}"
    armed = {name.decode(): value.decode() for name, value in cast("Any", client.hgetall(key)).items()}
    if not armed or armed["match"] not in shown():
        return
    if client.hincrby(key, "skip", -1) >= 0 or client.hincrby(key, "times", -1) < 0:
        return
    client.rpush(_ACTED, f"{point}|{armed['act']}|{os.getpid()}")
    match armed["act"]:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            # To this thread: it would go on for a while if another one of the process took the signal.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        case "meet":
            _meet(client, shown())
        case "sleep":
            time.sleep(0.02)


def _meet(client: redis.Redis, place: str) -> None:
    """Wait until somebody else is at the same place, but not for long."""
    key = f"{_PREFIX}meeting:{place}"
    arrived = client.incr(key)
    ends_at = time.monotonic() + _MEETING_SECONDS
    while arrived % 2 and int(cast("bytes", client.get(key))) == arrived and time.monotonic() < ends_at:
        time.sleep(0.001)


def _hook(client: redis.Redis, name: str, point: Point) -> None:
    owner_name, method = point.method.split(".")
    owner = getattr(import_module(point.module), owner_name)
    original = getattr(owner, method)

    @functools.wraps(original)
    def hooked(*arguments: Any, **options: Any) -> Any:
        def shown() -> str:
            return f"{arguments[1:]} {options}"

        if point.when == "before":
            _harmed(client, name, shown)
        result = original(*arguments, **options)
        if point.when == "after":
            _harmed(client, name, shown)
        return result

    setattr(owner, method, hooked)


def main() -> None:
    from workers.cli.main import main as program
    from workers.process import worker

    client = redis.Redis.from_url(sys.argv.pop(1))
    for name, point in POINTS.items():
        _hook(client, name, point)
    if LAST_MOMENTS in os.environ:
        vars(worker)["_LAST_MOMENTS"] = float(os.environ[LAST_MOMENTS])
    program()


if __name__ == "__main__":
    main()
