"""The result store of a worker, which waits for no result.

Celery's own subscribes to the result of each task that is sent, one by one, and looks for a Redis that is away wherever
Python drops such a result: for that long a worker would stand still, and would not end.
"""

from typing import Any

from celery.backends.redis import RedisBackend, SentinelBackend


class _NeverWaitedFor:
    def add_pending_result(self, result: Any, *_: Any, **__: Any) -> Any:
        return result

    def remove_pending_result(self, result: Any) -> Any:
        return result


class WorkerResults(_NeverWaitedFor, RedisBackend):
    """Results on Redis, stored and read, never waited for."""


class WorkerSentinelResults(_NeverWaitedFor, SentinelBackend):
    """The same, where Sentinels say which Redis it is."""


def for_worker(url: str) -> str:
    """Return the URL of a result store as a worker uses it, in Celery's words."""
    store = WorkerSentinelResults if url.startswith("sentinel:") else WorkerResults
    return f"{store.__module__}:{store.__name__}+{url.removeprefix('redis+')}"
