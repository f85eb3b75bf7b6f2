"""The result store of a worker, which never waits for a result.

Celery's own store subscribes to the result of each sent task. During an outage of Redis it reconnects whenever Python
frees such a result: the worker would block for that time, and would not stop.
"""

from typing import Any

from celery.backends.redis import RedisBackend, SentinelBackend


class _NeverWaitedFor:
    def add_pending_result(self, result: Any, *_: Any, **__: Any) -> Any:
        return result

    def remove_pending_result(self, result: Any) -> Any:
        return result


class WorkerResults(_NeverWaitedFor, RedisBackend):
    """A result store on Redis that stores and reads results, but never waits for them."""


class WorkerSentinelResults(_NeverWaitedFor, SentinelBackend):
    """The same store on the primary that Sentinels name."""


def for_worker(url: str) -> str:
    """Return the Celery URL that a worker uses for a result store."""
    store = WorkerSentinelResults if url.startswith("sentinel:") else WorkerResults
    return f"{store.__module__}:{store.__name__}+{url.removeprefix('redis+')}"
