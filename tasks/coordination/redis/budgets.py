"""Budgets of requests, shared by all workers.

Each process takes its share, the whole divided by the number of active processes, and reads this number twice a second:
a single request needs no query to Redis. A limit of a registry halves its budget, which then grows back slowly.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import Final, cast

import redis
from redis.exceptions import RedisError

from tasks.coordination.shared_budget import SYNC_SECONDS, SharedBudget
from tasks.registry.budget import Budget

LOG: Final = logging.getLogger(__name__)
# A process without a sign of life for so many seconds has no share.
_MEMBER_SECONDS: Final = 3.0
_REMEMBERED: Final = 3600
# All requests under way hit a limit together: the budget is halved once.
_HALVED_AGAIN: Final = 2.0
_RAISED_AGAIN: Final = 1.0
_RAISE: Final = 1.1


class RedisBudgets:
    """The budgets of this process, which a thread synchronises with those of all others."""

    def __init__(self, client: redis.Redis, prefix: str, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._prefix = prefix
        self._clock = clock
        self._member = uuid.uuid4().hex
        self._guard = threading.Lock()
        self._budgets: dict[str, SharedBudget] = {}
        self._thread: threading.Thread | None = None

    def of(self, registry: str, who: str, at_once: int, per_second: float | None) -> Budget:
        """Return the budget of the user `who` at a registry."""
        key = f"{self._prefix}budget:{registry}:{who}"
        with self._guard:
            if key not in self._budgets:
                self._budgets[key] = SharedBudget(registry, at_once, per_second, self._clock, self._stay_in_step)
            return self._budgets[key]

    def synchronise(self) -> None:
        """Exchange the state of every budget in use with Redis once; raises RedisError."""
        with self._guard:
            budgets = dict(self._budgets)
        for key, budget in budgets.items():
            if budget.take_recovery():
                self._client.hset(key, "until", "0")
            limit = budget.take_limit()
            if limit is not None:
                self._limit(key, budget, limit)
            if limit is not None or self._clock() - budget.used < _MEMBER_SECONDS:
                self._share(key, budget)

    def _stay_in_step(self) -> None:
        if self._thread is not None:
            return
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep_in_step, name="budgets", daemon=True)
                self._thread.start()

    def _keep_in_step(self) -> None:
        """Synchronise as long as any budget is in use."""
        while self._is_in_use():
            time.sleep(SYNC_SECONDS)
            try:
                self.synchronise()
            # redis-py raises ValueError where another thread closes the client meanwhile.
            except (RedisError, ValueError) as error:
                LOG.debug("Budgets are not in step: %s from Redis", type(error).__name__)
        self._thread = None

    def _is_in_use(self) -> bool:
        with self._guard:
            return any(self._clock() - budget.used < _MEMBER_SECONDS for budget in self._budgets.values())

    def _share(self, key: str, budget: SharedBudget) -> None:
        now = self._clock()
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.zadd(f"{key}:members", {self._member: now})
            pipeline.zremrangebyscore(f"{key}:members", "-inf", now - _MEMBER_SECONDS)
            pipeline.expire(f"{key}:members", _REMEMBERED)
            pipeline.zcard(f"{key}:members")
            pipeline.hmget(key, ["factor", "until"])
            *_, members, (factor, until) = pipeline.execute()
        left = float(factor or 1)
        budget.share_with(members, left, float(until or 0))
        if left < 1 and self._once(f"{key}:raised", _RAISED_AGAIN):
            self._client.hset(key, "factor", str(min(1.0, left * _RAISE)))

    def _limit(self, key: str, budget: SharedBudget, until: float) -> None:
        known = cast("list[bytes | None]", self._client.hmget(key, ["factor", "until"]))
        fields = {"until": str(max(until, float(known[1] or 0)))}
        if self._once(f"{key}:halved", _HALVED_AGAIN):
            fields["factor"] = str(max(1 / budget.at_once, float(known[0] or 1) / 2))
            # A halved budget stays halved for a while.
            self._client.set(f"{key}:raised", "1", px=int(2 * _HALVED_AGAIN * 1000))
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(key, mapping=fields)  # type: ignore[arg-type]
            pipeline.expire(key, _REMEMBERED)
            pipeline.execute()

    def _once(self, key: str, seconds: float) -> bool:
        """Tell whether this process is the first to ask in so many seconds."""
        return bool(self._client.set(key, "1", nx=True, px=int(seconds * 1000)))
