"""Budgets of requests, shared by all workers (DESIGN section 4).

Each process takes its share, the whole divided by the processes that are active, and looks twice a second how many
those are: a request costs no question to Redis. A registry that limits is asked half as much, and slowly more again.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

import redis
from redis.exceptions import RedisError

from tasks import telemetry
from tasks.errors import RateLimited
from tasks.registry.budget import Budget

LOG: Final = logging.getLogger(__name__)
_SYNC_SECONDS: Final = 0.5
# A process that has not been heard of for so long has no share.
_MEMBER_SECONDS: Final = 3.0
_REMEMBERED: Final = 3600
# After a limit without a word on how long it lasts.
_PAUSE: Final = 1.0
# All requests under way hit one limit together: it halves once.
_HALVED_AGAIN: Final = 2.0
_RAISED_AGAIN: Final = 1.0
_RAISE: Final = 1.1


class SharedBudget:
    """One budget as this process sees it; `share` and `factor` come from the last look at Redis."""

    def __init__(
        self,
        registry: str,
        at_once: int,
        per_second: float | None,
        clock: Callable[[], float],
        on_use: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_use = on_use
        self.at_once = at_once
        self.used = 0.0
        self._registry = registry
        self._per_second = per_second
        self._clock = clock
        self._changed = threading.Condition()
        self._mine = threading.local()
        self._running = 0
        self._members = 1
        self._factor = 1.0
        self._until = 0.0
        self._asked_until = 0.0
        self._tokens = 0.0
        self._filled = clock()

    @contextmanager
    def request(self, patience: float) -> Iterator[None]:
        """Wait for room for one request and take it for the block; raises RateLimited."""
        # A request inside another of the same thread, as where an upload's body is read anew, must not wait for it.
        if getattr(self._mine, "asking", False):
            yield
            return
        self._wait(patience)
        self._on_use()
        self._mine.asking = True
        try:
            yield
        finally:
            self._mine.asking = False
            with self._changed:
                self._running -= 1
                self._changed.notify()

    def limited(self, retry_after: float | None) -> None:
        """Take in a limit: this process stops at once, the others at their next look."""
        with self._changed:
            self._asked_until = max(self._asked_until, self._clock() + (retry_after or _PAUSE))
            self._until = max(self._until, self._asked_until)

    def take_limit(self) -> float | None:
        """Return until when the registry wants to be left alone, if that is news for the other processes."""
        with self._changed:
            asked, self._asked_until = self._asked_until, 0.0
        return asked or None

    def share_with(self, members: int, factor: float, until: float) -> None:
        """Take in what all processes know: how many they are, what part of the budget is left, when to rest until."""
        with self._changed:
            self._members = max(1, members)
            self._factor = factor
            self._until = max(self._until, until)
            self._changed.notify_all()

    def _wait(self, patience: float) -> None:
        started = self._clock()
        with self._changed:
            while (pause := self._pause()) is not None:
                if self._until - self._clock() > patience:
                    left = self._until - self._clock()
                    raise RateLimited(f"{self._registry} wants to be left alone for {left:.0f} seconds.", left)
                self._changed.wait(pause)
            self._running += 1
            self._tokens -= 1
            self.used = self._clock()
        waited = self.used - started
        if waited > 0:
            telemetry.count(telemetry.WAIT_SECONDS, waited, on=telemetry.BUDGET)

    def _pause(self) -> float | None:
        """Return how long to wait before looking again, None if there is room now."""
        now = self._clock()
        if self._until > now:
            return min(self._until - now, _SYNC_SECONDS)
        if self._running >= max(1, int(self.at_once * self._factor / self._members)):
            return _SYNC_SECONDS
        if self._per_second is None:
            return None
        rate = self._per_second * self._factor / self._members
        self._tokens = min(max(1.0, rate), self._tokens + (now - self._filled) * rate)
        self._filled = now
        return None if self._tokens >= 1 else (1 - self._tokens) / rate


class RedisBudgets:
    """The budgets of this process, kept in step with those of all others by a thread."""

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
        """Tell and ask Redis once of every budget that is in use; raises RedisError."""
        with self._guard:
            budgets = dict(self._budgets)
        for key, budget in budgets.items():
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
            time.sleep(_SYNC_SECONDS)
            try:
                self.synchronise()
            except RedisError as error:
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
            # What was halved stays so for a while.
            self._client.set(f"{key}:raised", "1", px=int(2 * _HALVED_AGAIN * 1000))
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(key, mapping=fields)  # type: ignore[arg-type]
            pipeline.expire(key, _REMEMBERED)
            pipeline.execute()

    def _once(self, key: str, seconds: float) -> bool:
        """Tell whether this process is the first to ask in so many seconds."""
        return bool(self._client.set(key, "1", nx=True, px=int(seconds * 1000)))
