"""The ledger's record of a push, for the client that waits for it."""

from dataclasses import dataclass
from typing import Any

from tasks import contract
from tasks.errors import PushUnknown, StateUnavailable
from tasks.transfer.ports import Ledger
from workers.client.followed import Follow, FollowedPush
from workers.client.waiting import Broken, Pending, Refused, Result, Sight


@dataclass(frozen=True)
class Sent:
    """A push that this process has sent; `updated` is its last update in the ledger before that, in epoch seconds."""

    request: dict[str, Any]
    task_id: str
    updated: float | None


class WatchedPush:
    """One push in the ledger; `follow` receives its progress."""

    def __init__(self, ledger: Ledger, push_id: str, sent: Sent | None, follow: Follow | None) -> None:
        self._ledger = ledger
        self._push_id = push_id
        self._sent = sent
        self._followed = FollowedPush(ledger, push_id, follow)

    def look(self, result: Result) -> Sight:
        """Return the ledger's view, as far as the result does not decide; raises StateUnavailable."""
        if isinstance(result, Pending):
            return Sight(known=self._followed.look(), report=self._evicted())
        if isinstance(result, Refused) and isinstance(result.error, PushUnknown):
            # Not by the progress, which is not read at each look.
            return Sight(known=self._ledger.request(self._push_id) is not None)
        if isinstance(result, Broken):
            return Sight(under_way=self._is_under_way())
        return Sight()

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
        try:
            return self._ledger.report(self._push_id) is None and bool(self._ledger.progress(self._push_id))
        except (PushUnknown, StateUnavailable):
            return False
