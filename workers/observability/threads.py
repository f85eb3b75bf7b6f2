"""Threads that inherit the context of their caller."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")


class ContextThreads(ThreadPoolExecutor):
    """A pool whose work runs in the submitter's context: with its log fields and its parent span."""

    def submit(self, act: Callable[..., Result], /, *args: Any, **kwargs: Any) -> "Future[Result]":
        return super().submit(partial(copy_context().run, act, *args, **kwargs))
