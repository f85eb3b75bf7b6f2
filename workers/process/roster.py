"""The roster of workers: each refreshes its entry in Redis while it lives, and readers see the recent entries."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Final, cast

import msgspec
import redis
from celery.signals import worker_ready, worker_shutting_down
from redis.exceptions import RedisError

from tasks.contract import QUEUES
from workers.broker.app import KEY_PREFIX
from workers.settings.equipment import Equipment

_KEY: Final = f"{KEY_PREFIX}workers"
_BEAT_SECONDS: Final = 10.0
# Two beats may be late or lost before a worker counts as gone.
_GONE_SECONDS: Final = 35.0
_FORGOTTEN_SECONDS: Final = 86_400


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's entry; times are in seconds since the epoch.

    `time` is from the worker's clock, `seen` from the clock of Redis at the same moment. `registries` has the names of
    the settings for each registry; it is None from an older version.
    """

    name: str
    version: str
    queues: list[str]
    pid: int
    started: float
    time: float
    seen: float
    registries: Equipment | None = None

    @property
    def skew(self) -> float:
        """The seconds by which the worker's clock is ahead of that of Redis."""
        return self.time - self.seen


class Roster:
    """The entry of one worker, refreshed every 10 seconds by a thread; an outage of Redis is not an error."""

    def __init__(
        self,
        client: redis.Redis,
        name: str,
        queues: Sequence[str],
        registries: Equipment | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._registries = registries
        self._client = client
        self._name = name
        self._queues = list(queues)
        self._clock = clock
        self._version = version("imagepusher")
        self._started = clock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="roster", daemon=True)

    def start(self) -> None:
        """Start to refresh the entry."""
        self._thread.start()

    def stop(self) -> None:
        """Remove the entry: this worker takes no further task."""
        self._stopped.set()

    def tell(self) -> None:
        """Write the entry once; raises RedisError."""
        entry = Worker(
            name=self._name,
            version=self._version,
            queues=self._queues,
            pid=os.getpid(),
            started=self._started,
            seen=redis_time(self._client),
            time=self._clock(),
            registries=self._registries,
        )
        self._client.hset(_KEY, self._name, msgspec.json.encode(entry).decode())
        self._client.expire(_KEY, _FORGOTTEN_SECONDS)

    def _run(self) -> None:
        joined = False
        while not self._stopped.is_set():
            try:
                if not joined:
                    _forget(self._client)
                self.tell()
                joined = True
            except RedisError:
                pass
            self._stopped.wait(_BEAT_SECONDS)
        try:
            self._client.hdel(_KEY, self._name)
        except RedisError:
            return


def enrol(client: redis.Redis, name: str, queues: Sequence[str], registries: Equipment) -> None:
    """Keep the worker of this process in the roster from its readiness to the start of its shutdown."""
    roster = Roster(client, name, queues, registries)
    worker_ready.connect(lambda **_: roster.start(), weak=False)
    worker_shutting_down.connect(lambda **_: roster.stop(), weak=False)


def read_roster(client: redis.Redis) -> list[Worker]:
    """Return the workers with a recent entry, by name; raises RedisError."""
    now = redis_time(client)
    return sorted(
        (entry for entry in _entries(client).values() if entry is not None and now - entry.seen <= _GONE_SECONDS),
        key=lambda worker: worker.name,
    )


def serving(client: redis.Redis) -> dict[str, int]:
    """Return the number of workers that serve each queue; raises RedisError."""
    counted = Counter(queue for worker in read_roster(client) for queue in worker.queues)
    return {queue: counted[queue] for queue in QUEUES}


def redis_time(client: redis.Redis) -> float:
    """Return the time of Redis, in seconds since the epoch; raises RedisError."""
    seconds, microseconds = client.time()
    return seconds + microseconds / 1e6


def _forget(client: redis.Redis) -> None:
    """Remove outdated entries: names are not reused, and each new worker cleans up."""
    now = redis_time(client)
    gone = [name for name, entry in _entries(client).items() if entry is None or now - entry.seen > _GONE_SECONDS]
    if gone:
        client.hdel(_KEY, *gone)


def _entries(client: redis.Redis) -> Mapping[str, Worker | None]:
    found = cast("Mapping[bytes, bytes]", client.hgetall(_KEY))
    return {name.decode(): _decode(content) for name, content in found.items()}


def _decode(content: bytes) -> Worker | None:
    """Return an entry, None if its version lacks fields."""
    try:
        return msgspec.json.decode(content, type=Worker)
    except msgspec.DecodeError:
        return None
