"""The progress of a push in the ledger, for whoever follows it."""

import time
from collections.abc import Callable
from typing import Final

from tasks import contract
from tasks.errors import PushUnknown, StateUnavailable
from tasks.transfer.ports import Ledger

Follow = Callable[[contract.Progress], None]

# Reading the progress of thousands of digests takes long: spend at most a twentieth of the time on it.
_REST_FACTOR: Final = 20


class FollowedPush:
    """One push; `follow` receives its progress, not so often that reading it becomes costly."""

    def __init__(self, ledger: Ledger, push_id: str, follow: Follow | None) -> None:
        self._ledger = ledger
        self._push_id = push_id
        self._follow = follow
        self._next_look = 0.0

    def look(self) -> bool:
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
