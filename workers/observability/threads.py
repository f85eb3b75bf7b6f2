"""Threads that inherit the context of their caller, shared fairly by the pushes of a process."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from tasks import telemetry

Result = TypeVar("Result")

# With n pushes at once there are at most 1 + 1/2 + … + 1/n times as many threads as one of them may use: this is
# enough for 30 pushes.
_MORE: Final = 4


class ContextThreads(Executor):
    """A pool of threads; work runs in the submitter's context: with its log fields and its parent span.

    One push alone may use `most` threads. Of several pushes with work here, each may begin work on its equal part of
    `most` threads, however many the others still hold: registries that do not answer hold up their own push only.
    """

    def __init__(self, most: int, *, thread_name_prefix: str = "") -> None:
        self._most = most
        self._pool = ThreadPoolExecutor(_MORE * most, thread_name_prefix=thread_name_prefix)
        self._guard = threading.Lock()
        self._waiting: dict[str, deque[_Work]] = {}
        self._running: Counter[str] = Counter()
        self._closed = False

    def submit(self, act: Callable[..., Result], /, *args: Any, **kwargs: Any) -> "Future[Result]":
        future: Future[Result] = Future()
        work = _Work(future, partial(copy_context().run, act, *args, **kwargs))
        push = telemetry.bound().get("push_id", "")
        with self._guard:
            if self._closed:
                raise RuntimeError("these threads take no more work")
            self._waiting.setdefault(push, deque()).append(work)
            self._begin()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's form
        with self._guard:
            self._closed = True
            left = [(push, work) for push, waiting in self._waiting.items() for work in waiting]
            self._waiting.clear()
            for push, work in left:
                if cancel_futures:
                    work.future.cancel()
                # What was cancelled runs, too: whoever waits for it is told.
                self._start(push, work)
        self._pool.shutdown(wait=wait)

    def _begin(self) -> None:
        """Start all work that may run now; the guard is held."""
        part = max(1, self._most // max(1, len(self._waiting.keys() | self._running.keys())))
        for push in list(self._waiting):
            waiting = self._waiting[push]
            while waiting and self._running[push] < part:
                self._start(push, waiting.popleft())
            if not waiting:
                del self._waiting[push]

    def _start(self, push: str, work: "_Work") -> None:
        self._pool.submit(self._run, push, work)
        self._running[push] += 1

    def _run(self, push: str, work: "_Work") -> None:
        if work.future.set_running_or_notify_cancel():
            try:
                result = work.act()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
                work.future.set_exception(error)
            else:
                work.future.set_result(result)
        with self._guard:
            self._running[push] -= 1
            if not self._running[push]:
                del self._running[push]
            self._begin()


class _Work(msgspec.Struct, frozen=True):
    future: Future[Any]
    act: Callable[[], Any]
