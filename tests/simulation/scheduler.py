"""Virtual processes and threads, of which one runs at a time, in virtual time.

A virtual thread is a greenlet that runs real code. It gives the baton back in `call`, `sleep` and `park` only, so that
the order of all that happens follows from the decisions alone.
"""

import contextvars
import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from tests.simulation.decisions import Action, Decisions, Kind, Step
from tests.simulation.trace import Trace

Result = TypeVar("Result")

EPOCH: Final = 1_700_000_000.0
FOREVER: Final = float("inf")
# Faults that a thread meets by itself; all others are carried out by the world.
_OF_THREADS: Final = ("kill", "stop", "pause", "refuse", "lose")


class Killed(BaseException):
    """The process of the running thread is dead: its code unwinds, and its ports refuse everything."""


class LostAnswer(Exception):
    """The other side did what was asked, and nobody heard of it."""


class Away(Exception):
    """The other side is away when what was sent arrives."""


class Refused(Exception):
    """The other side did nothing, and says so: `status` is that of HTTP, `retry_after` in seconds."""

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__(status, retry_after)
        self.status = status
        self.retry_after = retry_after


@dataclass(eq=False)
class Process:
    """A virtual process: it can be killed, and stopped for a time."""

    name: str
    fallible: bool = True
    alive: bool = True
    stopped_until: float = 0.0
    threads: dict["Thread", None] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Thread:
    """A virtual thread: `push_id` is the push that it works for, `in_flight` what lands though its process is gone."""

    name: str
    process: Process
    glet: Any = None
    push_id: str | None = None
    token: int = 0
    done: bool = False
    steps: int = 0
    in_flight: Callable[[], Any] | None = None
    asked_key: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    joiners: list["Thread"] = field(default_factory=list)
    local: dict[int, dict[str, Any]] = field(default_factory=dict)


class Scheduler:
    """One run: `world` carries out the faults that are no thread's own, such as a restart of Redis."""

    def __init__(self, decisions: Decisions, trace: Trace) -> None:
        self.now = 0.0
        self.decisions = decisions
        self.trace = trace
        self.crashes: list[str] = []
        self.on_fault: Callable[[Action, Step], None] = lambda _action, _step: None
        self.on_death: Callable[[Process], None] = lambda _process: None
        self.steps = 0
        self.landing = 0
        self.lands_late = False
        self.budgets = False
        self._queue: list[tuple[float, int, Thread | None, Any]] = []
        self._order = itertools.count()
        self._until = FOREVER
        self._hub = getcurrent()
        self._threads: dict[Any, Thread] = {}
        self._to_reap: list[Process] = []
        self._names: dict[str, int] = {}

    @property
    def thread(self) -> Thread:
        """The thread that runs."""
        return self._threads[getcurrent()]

    @property
    def running(self) -> Thread | None:
        """The thread that runs, None between two of them."""
        return self._threads.get(getcurrent())

    def spawn(self, process: Process, name: str, act: Callable[[], Any], push_id: str | None = None) -> Thread:
        """Start a thread of `process`; it runs when its time comes."""
        parent = self.running
        number = self._names[name] = self._names.get(name, 0) + 1
        thread = Thread(name if number == 1 else f"{name}#{number}", process)
        thread.push_id = push_id or (parent.push_id if parent else None)

        def run() -> None:
            try:
                act()
            except Killed:
                pass
            except Exception as error:  # noqa: BLE001 - a thread that dies is a finding
                self.crashes.append(f"the thread {thread.name} ended by {type(error).__name__}: {error}")
            finally:
                thread.done = True
                process.threads.pop(thread, None)
                self._threads.pop(thread.glet, None)
                for joiner in thread.joiners:
                    self.wake(joiner)

        thread.glet = greenlet(run, parent=self._hub)
        thread.glet.gr_context = contextvars.copy_context()
        self._threads[thread.glet] = thread
        process.threads[thread] = None
        self._push(self.now, thread, thread.token)
        return thread

    def at(self, when: float, act: Callable[[], Any]) -> None:
        """Do something of the world's at a time."""
        self._push(when, None, act)

    def sleep(self, seconds: float) -> None:
        """Let others run for some time."""
        self.park(self.now + max(0.0, seconds))

    def park(self, until: float = FOREVER) -> None:
        """Let others run until the time comes or somebody wakes this thread."""
        thread = self.thread
        if not thread.process.alive:
            raise Killed
        thread.token += 1
        if until < FOREVER:
            self._push(until, thread, thread.token)
        self._hub.switch()
        if not thread.process.alive:
            raise Killed

    def _pass(self, until: float) -> None:
        """Let others run until the time, if there are any who have something to do before it."""
        thread = self.thread
        is_alone = not self._queue or self._queue[0][0] > until
        if is_alone and thread.process.alive and thread.process.stopped_until <= until <= self._until:
            self.now = until
        else:
            self.park(until)

    def wake(self, thread: Thread) -> None:
        """Let a parked thread go on."""
        if not thread.done:
            self._push(self.now, thread, thread.token)

    def call(self, what: str, kind: Kind, effect: Callable[[], Result], subject: str = "") -> Result:
        """Ask something of the outside: the one place where faults happen to a thread.

        Raises LostAnswer, Refused and Killed.
        """
        thread = self.thread
        if not thread.process.alive:
            raise Killed
        self.steps += 1
        thread.steps += 1
        number = thread.counts[what] = thread.counts.get(what, 0) + 1
        step = Step(f"{thread.name} {what} {number}", kind, what, subject, thread.process.fallible, self.now)
        action = self.decisions.decide(step)
        if action is None:
            return self._undisturbed(thread, step, effect)
        self.trace.fault(self.now, step.name, action)
        return self._disturbed(thread, step, action, effect)

    def kill(self, process: Process) -> None:
        """End a process: what it sent may still land, and nobody hears of it."""
        if not process.alive:
            return
        process.alive = False
        self._to_reap.append(process)
        self.on_death(process)

    def stop(self, process: Process, seconds: float) -> None:
        """Let a process stand still."""
        process.stopped_until = max(process.stopped_until, self.now + seconds)

    def run(self, until: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Run all threads until the time, or until it is over."""
        self._until = until
        while self._queue and not is_over():
            when, _, thread, what = heapq.heappop(self._queue)
            if when > until:
                self._push(when, thread, what)
                self.now = until
                return
            if thread is None:
                self.now = max(self.now, when)
                what()
            elif not thread.done and what == thread.token:
                resumes = thread.process.stopped_until
                if resumes > when and thread.in_flight is None:
                    self._push(resumes, thread, what)
                    continue
                self.now = max(self.now, when)
                thread.token += 1
                thread.glet.switch()
            self._reap()

    def end(self) -> None:
        """Unwind all threads."""
        for thread in list(self._threads.values()):
            thread.process.alive = False
        for thread in list(self._threads.values()):
            self._throw(thread)

    def unfinished(self, processes: Iterable[Process]) -> list[Thread]:
        """Return the threads of these processes that have not ended."""
        return [thread for process in processes for thread in process.threads]

    def _undisturbed(self, thread: Thread, step: Step, effect: Callable[[], Result]) -> Result:
        before, after = self.decisions.latency(step)
        self._fly(thread, effect, before)
        result = effect()
        self.trace.step(self.now, step.name, result)
        self._pass(self.now + after)
        return result

    def _disturbed(self, thread: Thread, step: Step, action: Action, effect: Callable[[], Result]) -> Result:
        before, after = self.decisions.latency(step)
        self._go_there(thread, step, action, effect, before, after)
        result = effect()
        self.trace.step(self.now, step.name, result)
        self._come_back(thread, action, after)
        return result

    def _go_there(
        self, thread: Thread, step: Step, action: Action, effect: Callable[[], Any], before: float, after: float
    ) -> None:
        """Let a request land, if it does."""
        match action.name:
            case "kill before" | "kill in flight":
                if action.name == "kill in flight":
                    self._land_later(effect, before + action.seconds)
                self.kill(thread.process)
                raise Killed
            case "stop before" | "pause before":
                # What was sent arrives late: it was on its way when its process stopped.
                if action.name == "stop before":
                    self.stop(thread.process, action.seconds)
                before = action.seconds
            case "refuse" | "lose request":
                self.park(self.now + before + after)
                raise Refused(action.status, action.retry_after) if action.name == "refuse" else LostAnswer
        self._fly(thread, effect, before)
        if not action.name.startswith(_OF_THREADS):
            self.on_fault(action, step)

    def _come_back(self, thread: Thread, action: Action, after: float) -> None:
        """Let the answer arrive, if it does."""
        if action.name == "kill after":
            self.kill(thread.process)
            raise Killed
        if action.name == "stop after":
            self.stop(thread.process, action.seconds)
        self.park(self.now + after + (action.seconds if action.name == "pause after" else 0.0))
        if action.name == "lose answer":
            raise LostAnswer

    def _fly(self, thread: Thread, effect: Callable[[], Any], seconds: float) -> None:
        """Let a request be on its way: it lands even if its process stops, and perhaps if that is killed."""
        thread.in_flight = effect
        try:
            self._pass(self.now + seconds)
        finally:
            thread.in_flight = None

    def _land_later(self, effect: Callable[[], Any], seconds: float) -> None:
        self.landing += 1

        def land() -> None:
            self.landing -= 1
            self.lands_late = True
            try:
                effect()
            except Away:
                pass
            finally:
                self.lands_late = False

        self.at(self.now + seconds, land)

    def _reap(self) -> None:
        while self._to_reap:
            process = self._to_reap.pop()
            for thread in list(process.threads):
                flying = thread.in_flight
                if flying is not None and self.decisions.lands(thread.name):
                    self._land_later(flying, self.decisions.landing_seconds(thread.name))
                self._throw(thread)

    def _throw(self, thread: Thread) -> None:
        if not thread.done:
            if thread.glet:
                thread.glet.throw(Killed)
            else:
                # It never started.
                thread.done = True
                thread.process.threads.pop(thread, None)
                self._threads.pop(thread.glet, None)

    def _push(self, when: float, thread: Thread | None, what: Any) -> None:
        heapq.heappush(self._queue, (when, next(self._order), thread, what))
