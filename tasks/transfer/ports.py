"""What a push needs from outside the registries. `tasks/coordination` implements these on a Redis client."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError
from tasks.oci.digest import Digest
from tasks.transfer.plan.plan import Copy, Plan

# "begun", or how it ended.
UndoState = Literal["begun", "succeeded", "partial", "failed"]

# The part that a preview, verify or undo task holds while it runs: it shows that its worker is alive.
INSPECTION: Final = "inspection"


class CopyOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the copy of one digest ended: totals, and an error for each repository that did not get it."""

    digest: str
    errors: dict[str, ImagePusherError] = {}
    totals: contract.Totals = contract.Totals()


class TagIntent(msgspec.Struct, frozen=True, kw_only=True):
    """What a push is about to do to a tag: noted before the write, so that a repeat knows its own work.

    `written_before` is what a push of ours, this one or another, had written there last at that time. `overtaken` are
    the protective tags, with their digests, that this push made for merges that it did not stay with.
    """

    action: contract.Action
    old_digest: str | None
    new_digest: str
    kept_platforms: list[str] = []
    protective_tag: str | None = None
    protective_tag_created: bool = False
    written_before: str | None = None
    overtaken: dict[str, str] = {}


class TakenCopy(NamedTuple):
    """What the ledger holds of one copy: None where it was never planned, or has not ended yet.

    `lost` counts the starts that never came back. `content` is the manifest, where planning read it already.
    """

    planned: Copy | None
    outcome: CopyOutcome | None
    lost: int = 0
    content: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPush:
    """A push whose result has not been stored, as the watchdog looks at it.

    `known` is False where its record is gone, `planned` and `ended` tell what it has come to. Since `quiet_since`,
    seconds since the epoch, nothing of it was heard, nor is anything due before. `done` counts copies and tags that
    ended, `drives` how often it was driven on since that last rose. Beside `task_id` there may be more tasks that wait
    for the result: `accepted` ones, and those that are `noted`, of which no worker has come to know yet.
    """

    push_id: str
    task_id: str
    known: bool
    planned: bool
    ended: bool
    quiet_since: float
    done: int
    drives: int
    accepted: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()

    @property
    def waiting(self) -> tuple[str, ...]:
        """All tasks that workers know of, each once."""
        return tuple(dict.fromkeys((self.task_id, *self.accepted)))


class Ledger(Protocol):
    """The truth about each push: request, plan, outcomes, report. All writes may be repeated.

    All methods raise StateUnavailable.
    """

    def announce(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        """Note that a push is enqueued; its result is that of `task_id`."""
        ...

    def note_waiting(self, push_id: str, task_id: str) -> None:
        """Note that one more task waits for the result of a push that is known, and is not taken on yet."""
        ...

    def withdraw(self, push_id: str) -> None:
        """Forget a push that was announced, unless a worker took it on."""
        ...

    def accept(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        """Note that a worker took the push on; what is known of it stays. Its result is that of `task_id`."""
        ...

    def request(self, push_id: str) -> dict[str, Any] | None: ...
    def updated(self, push_id: str) -> float | None:
        """Return when a worker was heard of last that works on a push, in seconds since the epoch."""
        ...

    def task_id(self, push_id: str) -> str | None:
        """Return the task whose result is that of the push."""
        ...

    def reopen(self, push_id: str) -> None:
        """Forget the report, the copies and the outcomes of a push that is to be run again; intents stay."""
        ...

    def save_plan(self, plan: Plan) -> None: ...
    def plan(self, push_id: str) -> Plan | None: ...
    def mark_sent(self, push_id: str) -> None:
        """Note that the tasks of a push are being sent."""
        ...

    def was_sent(self, push_id: str) -> bool: ...
    def take_copy(self, push_id: str, digest: str) -> TakenCopy: ...
    def lost(self, push_id: str, parts: Sequence[str]) -> list[int]:
        """Return how often each part (a digest, a tag, or a task's name) was started and has not been settled."""
        ...

    def begin(self, push_id: str, part: str) -> None:
        """Count a start of a part."""
        ...

    def settle(self, push_id: str, part: str, *, quiet_until: float | None = None) -> None:
        """Forget the starts of a part that came back from its worker; it may rest until `quiet_until`."""
        ...

    def touch(self, push_id: str) -> None:
        """Note that a part of the push is alive."""
        ...

    def keep_content(self, push_id: str, digest: Digest, content: bytes) -> None: ...
    def content(self, push_id: str, digest: str) -> bytes | None: ...
    def record_copy(self, push_id: str, outcome: CopyOutcome, progress: contract.CopyProgress) -> None: ...
    def copies(self, push_id: str) -> dict[str, CopyOutcome]: ...
    def record_progress(self, push_id: str, progress: contract.CopyProgress) -> None: ...
    def record_intent(self, push_id: str, reference: str, intent: TagIntent) -> None: ...
    def intent(self, push_id: str, reference: str) -> TagIntent | None: ...
    def intents(self, push_id: str) -> dict[str, TagIntent]: ...
    def record_tag(self, push_id: str, tag: contract.TagReport) -> None: ...
    def tags(self, push_id: str) -> dict[str, contract.TagReport]: ...
    def finish(self, report: contract.PushReport) -> None: ...
    def report(self, push_id: str) -> contract.PushReport | None: ...
    def mark_undone(self, push_id: str, state: UndoState) -> None:
        """Note that the push is being taken back, or how that ended: no further tag of it moves."""
        ...

    def undo_state(self, push_id: str) -> UndoState | None: ...
    def is_undone(self, push_id: str) -> bool:
        """Tell whether taking the push back was begun, however that ended."""
        ...

    def progress(self, push_id: str) -> contract.Progress:
        """Return how far a push is; raises PushUnknown."""
        ...

    def pushes(self) -> list[contract.Progress]:
        """Return the pushes that are remembered, the newest first."""
        ...

    def open_pushes(self) -> list[OpenPush]:
        """Return the pushes whose result has not been stored."""
        ...

    def is_open(self, push_id: str) -> bool:
        """Tell whether the result of a push has not been stored, as far as is known."""
        ...

    def overlooked(self) -> list[OpenPush]:
        """Return the pushes that have not ended and are not among the open ones, as it should never be.

        Those whose record has expired are forgotten.
        """
        ...

    def list_again(self, push_id: str) -> None:
        """Have a push be among the open ones."""
        ...

    def open_ages(self) -> list[float]:
        """Return the seconds since each open push was accepted."""
        ...

    def note_drive(self, push: OpenPush) -> None:
        """Count that the watchdog drives a push on."""
        ...

    def close(self, push_id: str) -> None:
        """Note that the result of a push has been stored."""
        ...


class TagLock(Protocol):
    """A tag that is held."""

    def ensure(self) -> None:
        """Raise LockLost unless the tag is still held."""
        ...

    def last_written(self) -> str | None:
        """Return the digest that a push of ours wrote last, if that was not long ago."""
        ...

    def note_written(self, digest: str) -> None:
        """Note what was written and verified."""
        ...


class TagLocks(Protocol):
    """One push at a time works on a tag, across all workers."""

    def hold(self, reference: str) -> AbstractContextManager[TagLock]:
        """Wait for the tag and hold it; raises LockUnavailable."""
        ...


class Runs(Protocol):
    """One delivery at a time works on a part of a push, across all workers; the ledger hears that it is alive."""

    def hold(self, push_id: str, part: str) -> AbstractContextManager[None]:
        """Wait until no other delivery works on the part; raises LockUnavailable."""
        ...

    def alone(self, push_id: str) -> AbstractContextManager[None]:
        """Wait until no other part is worked on alone; raises LockUnavailable, StateUnavailable."""
        ...

    def is_held(self, push_id: str, part: str) -> bool:
        """Tell whether some worker is alive and works on the part; raises StateUnavailable."""
        ...


class Announcer(Protocol):
    """Who is told of each tag that moved, at least once."""

    listens: bool

    def tag_moved(self, moved: contract.TagMoved) -> None:
        """Tell of one tag; whatever it raises, the push is concluded again."""
        ...


class BlobLocations(Protocol):
    """Which repositories of a registry hold a blob: hints for mounts, possibly stale."""

    def repositories(self, registry: str, digest: str) -> Sequence[str]: ...
    def add(self, registry: str, digest: str, repository: str) -> None: ...
    def forget(self, registry: str, digest: str, repository: str) -> None: ...


class SingleFlight(Protocol):
    """One task at a time moves the bytes of a blob to a registry, across all workers."""

    def lead(self, registry: str, digest: str) -> AbstractContextManager[None]:
        """Wait until nobody else moves this blob there, and keep others waiting while it is moved."""
        ...
