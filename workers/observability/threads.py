"""Threads that know for whom they work."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")


class ContextThreads(ThreadPoolExecutor):
    """A pool whose work has the context of who submits it: its log lines the same fields, its spans the same parent."""

    def submit(self, act: Callable[..., Result], /, *args: Any, **kwargs: Any) -> "Future[Result]":
        return super().submit(partial(copy_context().run, act, *args, **kwargs))
