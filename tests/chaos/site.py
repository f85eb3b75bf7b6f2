"""A broker, workers that are harmed, two registries, and what must be true of all of it afterwards."""

import json
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import redis
from celery import Celery
from redis.exceptions import RedisError

from tests.support import images
from tests.support.chaos import Arms
from tests.support.figures import Section
from tests.support.images import Index, Node
from tests.support.processes import START_DEADLINE, wait_until
from tests.support.profiles.server import ProfileRegistry
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import Worker, command, environment, running_worker

QUEUES = ("imagepusher.push", "imagepusher.copy", "imagepusher.publish")
# Where a push waits after it was noted.
_TAKEN_FROM = ("imagepusher.push.intake", "imagepusher.push.noted")
PREFIX = "imagepusher:"
_POLL = 0.05
_DEADLINE = 250.0

Report = dict[str, Any]
Registry = DistributionRegistry | ProfileRegistry


class Fleet:
    """The workers of one broker; those that are gone can be replaced."""

    def __init__(self, settings: Mapping[str, str], arms_url: str, arguments: Sequence[str]) -> None:
        self._settings = settings
        self._arms_url = arms_url
        self._arguments = arguments
        self._running = ExitStack()
        self.workers: list[Worker] = []

    def start(self, count: int = 1, *arguments: str) -> list[Worker]:
        """Start some more workers, all at once; `arguments` replace the usual ones."""
        chosen = list(arguments or self._arguments)
        started = [
            self._running.enter_context(running_worker(self._settings, chosen, arms_url=self._arms_url))
            for _ in range(count)
        ]
        self.workers += started
        return started

    @property
    def alive(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.running]

    def replace(self, count: int) -> None:
        """Start workers until `count` are running."""
        if (missing := count - len(self.alive)) > 0:
            self.start(missing)

    def of(self, pid: int) -> Worker:
        return next(worker for worker in self.workers if worker.pid == pid)

    def logs(self) -> str:
        """Return the ends of all logs, for the message of a test that fails."""
        return "\n".join(f"worker {worker.pid}:\n{worker.log()[-5000:]}" for worker in self.workers)

    def end(self) -> None:
        """Tell all workers to end, and wait until they have."""
        for worker in self.alive:
            worker.resume()
            worker.process.terminate()
        for worker in self.alive:
            worker.process.wait(START_DEADLINE)

    def close(self) -> None:
        self.end()
        self._running.close()


@dataclass
class Site:
    """Where pushes are sent to; `before` is what the tags of B held that a test has filled, without the host."""

    a: DistributionRegistry
    b: Registry
    broker_url: str
    results: redis.Redis
    fleet: Fleet
    arms: Arms
    figures: Section
    settings: Mapping[str, str]
    before: dict[str, str] = field(default_factory=dict)

    def put_a(self, name: str, node: Node, tag: str = "1") -> str:
        """Put a node into A and return its full reference."""
        upload(self.a.host, name, node, tag)
        return f"{self.a.host}/{name}:{tag}"

    def put_b(self, name: str, node: Node, tag: str) -> str:
        """Put a node into B, remember that the tag holds it, and return its digest."""
        self.before[f"{name}:{tag}"] = upload(self.b.host, name, node, tag)
        return node.digest

    def send(self, request: Mapping[str, Any], task_id: str | None = None) -> str:
        """Send a push as any producer does, and return its id."""
        producer = self.producer()
        where: dict[str, Any] = {"queue": QUEUES[0]}
        if self.broker_url.startswith("amqp"):
            where = {"exchange": "imagepusher", "routing_key": QUEUES[0]}
        try:
            result = producer.send_task("imagepusher.push.v1", args=[request], task_id=task_id, **where)
        finally:
            producer.close()
        return str(result.id)

    def producer(self) -> Celery:
        """Return an application that knows a task's name and its queue, no more."""
        app = Celery("somebody", broker=self.broker_url, set_as_current=False)
        if self.broker_url.startswith("redis"):
            app.conf.broker_transport_options = {"global_keyprefix": PREFIX}
        return app

    @contextmanager
    def cli(self, *arguments: str, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the command line as a user does; one that still runs at the end is killed."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command(*arguments), env=environment(self.settings), stdin=pipe, stdout=pipe, stderr=pipe, **options
        ) as program:
            try:
                yield program
            finally:
                program.kill()

    def result(self, push_id: str) -> dict[str, Any] | None:
        """Return what the result store says of a push, None while there is nothing, or nobody who says it."""
        try:
            found = cast("bytes | None", self.results.get(f"{PREFIX}celery-task-meta-{push_id}"))
        except RedisError:
            return None
        return None if found is None else json.loads(found)

    def ended(self, push_id: str) -> bool:
        result = self.result(push_id)
        return result is not None and result["status"] in {"SUCCESS", "FAILURE"}

    def report(self, push_id: str, deadline: float = _DEADLINE) -> Report:
        """Wait for the report of a push, whatever its state; one without a report fails the test."""
        ends_at = time.monotonic() + deadline
        while not self.ended(push_id):
            assert time.monotonic() < ends_at, f"{push_id} has not ended: {self.story(push_id)}"
            time.sleep(_POLL)
        result = self.result(push_id)
        assert result is not None
        if result["status"] == "SUCCESS":
            return cast("Report", result["result"])
        failure = result["result"]
        assert failure["exc_type"] == "PushFailed", f"{push_id} ended without a report: {failure}\n{self.fleet.logs()}"
        return cast("Report", failure["exc_message"][1])

    def story(self, push_id: str) -> str:
        """Return what is known of a push, for the message of a test that fails."""
        try:
            ledger = self.results.hgetall(f"{PREFIX}push:{push_id}")
            shown = {name: value[:300] for name, value in cast("dict[bytes, bytes]", ledger).items()}
            keys = sorted(cast("Iterable[bytes]", self.results.scan_iter(f"{PREFIX}*")))[:60]
        except RedisError as error:
            return f"Redis: {error}\n{self.fleet.logs()}"
        return f"{self.result(push_id)}\nledger: {shown}\nkeys: {keys}\n{self.fleet.logs()}"

    def judge(self, report: Report) -> None:
        """Check that a report is true to what B holds: each tag's digest, and all that it needs."""
        stored = Stored(self.b.host)
        for item in report["items"]:
            for tag in item["tags"]:
                place = tag["reference"].partition("/")[2]
                name, _, label = place.rpartition(":")
                found = stored.digest(name, label)
                if tag["action"] in {"failed", "skipped"}:
                    assert found == self.before.get(place), f"{tag} moved to {found}"
                    assert tag["error"], f"{tag} has no error"
                    continue
                assert found == tag["new_digest"], f"{tag} is {found}"
                assert tag["old_digest"] in {self.before.get(place), found}, f"{tag} was something else"
                stored.holds(name, label)
                if tag["protective_tag"]:
                    assert stored.digest(name, tag["protective_tag"]) == found, f"{tag} is not protected"

    def tags(self) -> dict[str, str]:
        """Return what all tags hold at B, in the repositories that a test has filled or pushed to."""
        stored = Stored(self.b.host)
        names = {place.rpartition(":")[0] for place in self.before}
        return {f"{name}:{tag}": str(stored.digest(name, tag)) for name in names for tag in stored.tags(name)}

    def settle(self, deadline: float = _DEADLINE) -> None:
        """Wait until nothing is left of any push: no message, no open push, no lease."""
        left: list[str] = []

        def nothing_is_left() -> bool:
            left[:] = self.left()
            return not left

        try:
            wait_until(nothing_is_left, "", deadline)
        except AssertionError:
            raise AssertionError(f"left behind: {left}\n{self.fleet.logs()}") from None

    def left(self) -> list[str]:
        """Return what is left of pushes: messages that wait or that someone has taken, open pushes, leases."""
        held = [
            str(key)
            for kind in ("tag", "run", "flight", "alone")
            for key in cast("Iterable[bytes]", self.results.scan_iter(f"{PREFIX}{kind}:*"))
        ]
        queued = [
            queue
            for queue in (
                *QUEUES,
                *_TAKEN_FROM,
                *(f"{name}\x06\x16{priority}" for name in QUEUES for priority in (3, 6, 9)),
            )
            if self.results.llen(f"{PREFIX}{queue}")
        ]
        taken = [f"{count} taken"] if (count := self.results.hlen(f"{PREFIX}unacked")) else []
        return [*held, *queued, *taken, *map(str, cast("list[bytes]", self.results.hkeys(f"{PREFIX}open")))]

    def wait_for_harm(self, count: int = 1) -> Worker:
        """Wait until workers have harmed themselves `count` times, and return the last one."""
        wait_until(lambda: len(self.arms.acted()) >= count, f"no worker passed by: {self.arms.acted()}")
        acted = self.arms.acted()[count - 1]
        worker = self.fleet.of(acted.pid)
        if acted.act == "kill":
            worker.process.wait(START_DEADLINE)
            self.figures.add(workers_killed=1)
        return worker


def push_id() -> str:
    return str(uuid.uuid4())


def small_index(seed: str, *architectures: str, size: int = 1000, layers: int = 1) -> Index:
    """Build an index of Linux images whose layers no other seed shares."""
    return images.index(
        images.image(
            f"linux/{architecture}",
            [images.layer(f"{seed}-{architecture}-{number}", size) for number in range(layers)],
        )
        for architecture in architectures
    )


def item(source: str, destinations: Mapping[str, Sequence[str]], **options: Any) -> dict[str, Any]:
    """Return an item of a request; destinations are full repositories and their tags."""
    return {"source": source, "destinations": {name: list(tags) for name, tags in destinations.items()}, **options}


class Delay:
    """Let requests of `method` whose path shows `path` wait; a plan of a faulty proxy that spoils nothing."""

    def __init__(self, method: str, path: str, seconds: float) -> None:
        self._method = method
        self._path = path
        self._seconds = seconds
        self.met = 0

    def __str__(self) -> str:
        return f"{self._method} {self._path} {self._seconds:g} s later"

    def choose(self, method: str, target: str, *, authorized: bool) -> None:
        if method == self._method and self._path in target:
            self.met += 1
            time.sleep(self._seconds)
