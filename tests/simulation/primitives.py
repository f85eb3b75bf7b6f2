"""The words of `threading`, `time` and `concurrent.futures`, in virtual time: what product code gets in their place."""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any, Final

from tests.simulation.scheduler import EPOCH, FOREVER, Process, Scheduler, Thread

_scheduler: list[Scheduler] = []


def use(scheduler: Scheduler | None) -> None:
    """Let all that stands here belong to one run."""
    _scheduler[:] = [] if scheduler is None else [scheduler]


def current() -> Scheduler:
    """Return the scheduler of the run."""
    return _scheduler[0]


def monotonic() -> float:
    """Return the seconds since the run began."""
    return _scheduler[0].now


def wall() -> float:
    """Return the seconds since the epoch."""
    return EPOCH + _scheduler[0].now


def sleep(seconds: float) -> None:
    """Let others run for some time."""
    _scheduler[0].sleep(seconds)


def chance() -> float:
    """Return a number of [0, 1)."""
    scheduler = _scheduler[0]
    thread = scheduler.thread
    number = thread.counts["chance"] = thread.counts.get("chance", 0) + 1
    return scheduler.decisions.chance(f"{thread.name} chance {number}")


class Lock:
    """`threading.Lock`."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[Thread] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._held:
            self._held = True
            return True
        if not blocking:
            return False
        scheduler = _scheduler[0]
        until = FOREVER if timeout < 0 else scheduler.now + timeout
        thread = scheduler.thread
        self._waiting.append(thread)
        try:
            while self.locked():
                if scheduler.now >= until:
                    return False
                scheduler.park(until)
            self._held = True
        finally:
            self._waiting.remove(thread)
        return True

    def release(self) -> None:
        self._held = False
        if self._waiting:
            _scheduler[0].wake(self._waiting[0])

    def locked(self) -> bool:
        return self._held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Semaphore:
    """`threading.BoundedSemaphore`."""

    def __init__(self, value: int = 1) -> None:
        self._value = value
        self._waiting: deque[Thread] = deque()

    def acquire(self) -> bool:
        scheduler = _scheduler[0]
        while self._value == 0:
            self._waiting.append(scheduler.thread)
            scheduler.park()
        self._value -= 1
        return True

    def release(self) -> None:
        self._value += 1
        if self._waiting:
            _scheduler[0].wake(self._waiting.popleft())

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition:
    """`threading.Condition`."""

    def __init__(self, lock: Lock | None = None) -> None:
        self._lock = lock or Lock()
        self._waiting: list[Thread] = []

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        scheduler = _scheduler[0]
        thread = scheduler.thread
        self._waiting.append(thread)
        self._lock.release()
        try:
            scheduler.park(FOREVER if timeout is None else scheduler.now + timeout)
        finally:
            told = thread not in self._waiting
            if not told:
                self._waiting.remove(thread)
            if thread.process.alive:
                self._lock.acquire()
        return told

    def notify(self, number: int = 1) -> None:
        for thread in self._waiting[:number]:
            self._waiting.remove(thread)
            _scheduler[0].wake(thread)

    def notify_all(self) -> None:
        self.notify(len(self._waiting))


class Event:
    """`threading.Event`."""

    def __init__(self) -> None:
        self._set = False
        self._changed = Condition()

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        with self._changed:
            if not self._set:
                self._changed.wait(timeout)
        return self._set


class VirtualThread:
    """`threading.Thread`."""

    def __init__(self, target: Callable[[], None], name: str = "thread", daemon: bool = False) -> None:
        self._target = target
        self._name = name
        self._thread: Thread | None = None

    def start(self) -> None:
        scheduler = _scheduler[0]
        process = scheduler.thread.process
        self._thread = scheduler.spawn(process, f"{process.name}/{self._name}", self._target)
        self._thread.push_id = None

    def is_alive(self) -> bool:
        return self._thread is not None and not self._thread.done


class Local:
    """`threading.local`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return _scheduler[0].thread.local[id(self)][name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        _scheduler[0].thread.local.setdefault(id(self), {})[name] = value


class Future:
    """`concurrent.futures.Future`, as far as product code uses it."""

    def __init__(self) -> None:
        self._state = "pending"
        self._result: Any = None
        self._error: BaseException | None = None
        self.waiting: list[Thread] = []

    def cancel(self) -> bool:
        if self._state == "pending":
            self._end("cancelled")
        return self._state == "cancelled"

    def cancelled(self) -> bool:
        return self._state == "cancelled"

    def done(self) -> bool:
        return self._state in {"cancelled", "done"}

    def failed(self) -> bool:
        return self._error is not None

    def result(self, timeout: float | None = None) -> Any:
        while not self.done():
            self.waiting.append(_scheduler[0].thread)
            _scheduler[0].park()
        if self._error is not None:
            raise self._error
        return self._result

    def run(self, act: Callable[[], Any]) -> None:
        if self._state != "pending":
            return
        self._state = "running"
        try:
            self._result = act()
        except Exception as error:  # noqa: BLE001 - it is the waiting thread's
            self._error = error
        self._end("done")

    def _end(self, state: str) -> None:
        self._state = state
        for thread in self.waiting:
            _scheduler[0].wake(thread)
        self.waiting.clear()


def wait(futures: Iterable[Future], timeout: float | None = None, return_when: str = "ALL_COMPLETED") -> None:
    """`concurrent.futures.wait`."""
    scheduler = _scheduler[0]
    waited = list(futures)
    while True:
        open_ones = [future for future in waited if not future.done()]
        if not open_ones or (return_when == "FIRST_EXCEPTION" and any(future.failed() for future in waited)):
            return
        for future in open_ones:
            future.waiting.append(scheduler.thread)
        scheduler.park()


class Executor:
    """A pool of threads of one process."""

    def __init__(self, process: Process, most: int, name: str) -> None:
        self._process = process
        self._most = most
        self._name = name
        self._running = 0
        self._backlog: deque[tuple[Future, Callable[[], Any], str | None]] = deque()

    def submit(self, act: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future = Future()
        parent = _scheduler[0].thread
        bound = copy_context()
        self._backlog.append((future, lambda: bound.run(act, *args, **kwargs), parent.push_id))
        if self._running < self._most:
            self._running += 1
            _scheduler[0].spawn(self._process, f"{parent.name}/{self._name}", self._serve, parent.push_id)
        return future

    def map(self, act: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
        futures = [self.submit(act, *args) for args in zip(*iterables, strict=False)]
        return (future.result() for future in futures)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        del wait, cancel_futures

    def _serve(self) -> None:
        try:
            while self._backlog:
                future, act, push_id = self._backlog.popleft()
                _scheduler[0].thread.push_id = push_id
                future.run(act)
        finally:
            self._running -= 1


def pool(most: int, *, thread_name_prefix: str) -> Executor:
    """Return a pool of the process of the running thread."""
    return Executor(_scheduler[0].thread.process, most, thread_name_prefix)


_uuids = itertools.count()


def start_ids() -> None:
    """Let identifiers begin anew: a run gives the same ones each time."""
    global _uuids  # noqa: PLW0603 - one run at a time
    _uuids = itertools.count(1)


class _Id(str):
    __slots__ = ()

    @property
    def hex(self) -> str:
        return str(self)


def _uuid() -> _Id:
    return _Id(f"id{next(_uuids):030d}")


TIME: Final = SimpleNamespace(
    time=wall,
    monotonic=monotonic,
    sleep=sleep,
    perf_counter=monotonic,
    gmtime=time.gmtime,
    strftime=time.strftime,
)
THREADING: Final = SimpleNamespace(
    Lock=Lock,
    RLock=Lock,
    Condition=Condition,
    Event=Event,
    Semaphore=Semaphore,
    BoundedSemaphore=Semaphore,
    Thread=VirtualThread,
    local=Local,
)
RANDOM: Final = SimpleNamespace(random=chance, uniform=lambda low, high: low + (high - low) * chance())
UUID: Final = SimpleNamespace(uuid1=_uuid, uuid4=_uuid)
