"""The ledger's record of a push, for the client that waits for it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tasks import contract
from tasks.errors import PushUnknown, StateUnavailable
from tasks.transfer.ports import Ledger
from workers.client.waiting import Broken, Pending, Result, Sight

Follow = Callable[[contract.Progress], None]

# Reading the progress of thousands of digests takes long: spend at most a twentieth of the time on it.
_REST_FACTOR: Final = 20


@dataclass(frozen=True)
class Sent:
    """A push that this process has sent; `updated` is its last update in the ledger before that, in epoch seconds."""

    request: dict[str, Any]
    task_id: str
    updated: float | None


class WatchedPush:
    """One push in the ledger; `follow` receives its progress, not so often that reading it becomes costly."""

    def __init__(
        self, ledger: Ledger, push_id: str, sent: Sent | None, follow: Follow | None, *, embedded: bool
    ) -> None:
        self._ledger = ledger
        self._push_id = push_id
        self._sent = sent
        self._follow = follow
        self._embedded = embedded
        self._next_look = 0.0

    def look(self, result: Result) -> Sight:
        """Return the ledger's view, as far as the result does not decide; raises StateUnavailable."""
        if isinstance(result, Pending):
            known = self._follow_progress()
            return Sight(known=known, report=None if self._embedded else self._evicted())
        if isinstance(result, Broken):
            return Sight(under_way=self._is_under_way())
        return Sight()

    def _follow_progress(self) -> bool:
        """Report the progress if it is due; return whether the ledger knows the push, as far as can be told."""
        started = time.monotonic()
        if started < self._next_look:
            return True
        try:
            progress = self._ledger.progress(self._push_id)
        except PushUnknown:
            return False
        except StateUnavailable:
            return True
        if self._follow is not None:
            self._follow(progress)
        self._next_look = started + (time.monotonic() - started) * _REST_FACTOR
        return True

    def _evicted(self) -> contract.PushReport | None:
        """Return the report of a push whose result was stored after it was sent, and then evicted.

        A push that has not ended is open; if Redis has evicted that mark, set it again.
        """
        if self._ledger.is_open(self._push_id):
            return None
        request, report = self._ledger.request(self._push_id), self._ledger.report(self._push_id)
        if request is None:
            return None
        if self._sent is not None and not contract.is_same_request(request, self._sent.request):
            return None
        if report is None:
            self._ledger.list_again(self._push_id)
            return None
        is_new = self._sent is None or self._ledger.updated(self._push_id) != self._sent.updated
        return report if is_new else None

    def _is_under_way(self) -> bool:
        if self._embedded:
            return False
        try:
            return self._ledger.report(self._push_id) is None and bool(self._ledger.progress(self._push_id))
        except (PushUnknown, StateUnavailable):
            return False
