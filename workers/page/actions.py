"""Actions on pushes from the page, each recorded with its user before it begins and after it has ended."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final, Literal

import msgspec

from tasks import contract
from tasks.errors import (
    ImagePusherError,
    PushFailed,
    PushUnknown,
    RequestInvalid,
    StateFolderUnusable,
    StateUnavailable,
)
from tasks.transfer.ports import Intervention, PageLedger
from workers.client.interface import Client
from workers.page.holds import HOLD_ACTIONS, HoldAction
from workers.people import outcome_of

LOG: Final = logging.getLogger(__name__)

PushAction = Literal["retry", "undo", "cancel"]
Action = PushAction | HoldAction
ACTIONS: Final[tuple[Action, ...]] = ("retry", "undo", "cancel", *HOLD_ACTIONS)
# Opens a client, which calls the argument if no worker takes a question.
OpenClient = Callable[[Callable[[], None]], AbstractContextManager[Client]]


class NoWorker(Exception):
    """No worker has taken a question for some seconds."""


class Actions:
    """A runner of actions, each in its own thread: an undo, or a push without a broker, takes long.

    `check_cancel` raises NotPermitted if the page may not cancel the push of a request; workers check all else.
    """

    def __init__(
        self,
        ledger: PageLedger,
        open_client: OpenClient,
        clock: Callable[[], float] = time.time,
        check_cancel: Callable[[object], None] = lambda _: None,
    ) -> None:
        self._ledger = ledger
        self._open_client = open_client
        self._clock = clock
        self._check_cancel = check_cancel
        self._threads: list[threading.Thread] = []

    @property
    def running(self) -> bool:
        """Tell whether any action is running."""
        return any(thread.is_alive() for thread in self._threads)

    def begin(self, push_id: str, action: PushAction, user: str) -> None:
        """Record an action and begin it; raises StateUnavailable without beginning it."""
        begun = Intervention(action=action, user=user, at=self._clock())
        self._ledger.note_intervention(push_id, begun)
        LOG.info("Push %s: %s by %s.", push_id, action, user)
        thread = threading.Thread(
            target=self._run, args=(push_id, action, begun), name=f"{action} {push_id}", daemon=True
        )
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(thread)
        thread.start()

    def preview_undo(self, push_id: str) -> contract.Undo | None:
        """Return the preview of an undo, None if no worker examines the registries."""
        with suppress(NoWorker), self._open_client(_raise_no_worker) as client:
            return client.preview_undo(push_id)
        return None

    def _run(self, push_id: str, action: PushAction, begun: Intervention) -> None:
        work = {"retry": self._retry, "undo": self._undo, "cancel": self._cancel}[action]
        try:
            outcome = work(push_id)
        except ImagePusherError as error:
            outcome = f"failed: [{error.code}] {error}"
        except Exception as error:
            LOG.exception("Push %s: %s by %s failed.", push_id, begun.action, begun.user)
            outcome = f"failed: {type(error).__name__}"
        LOG.info("Push %s: %s by %s: %s", push_id, begun.action, begun.user, outcome)
        with suppress(StateUnavailable, StateFolderUnusable):
            self._ledger.note_intervention(push_id, msgspec.structs.replace(begun, outcome=outcome))

    def _cancel(self, push_id: str) -> str:
        self._check_cancel(self._ledger.request(push_id))
        self._ledger.mark_cancelled(push_id)
        return "told to stop"

    def _retry(self, push_id: str) -> str:
        request = self._ledger.request(push_id)
        if request is None:
            raise PushUnknown(f"No request of a push {push_id!r} is known here.")
        with self._open_client(lambda: None) as client:
            client.send(request, push_id)
            if not client.embedded:
                return "sent again"
            try:
                return f"sent again: {client.wait(push_id).state}"
            except (PushFailed, RequestInvalid) as error:
                return f"sent again: {error}"

    def _undo(self, push_id: str) -> str:
        with self._open_client(lambda: None) as client:
            undone = client.undo(push_id)
        return outcome_of(undone)


def _raise_no_worker() -> None:
    raise NoWorker
