"""What a push needs from outside the registries. `tasks/coordination` implements these on a Redis client."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec

from tasks import contract
from tasks.oci.digest import Digest
from tasks.transfer.plan import Copy, Plan


class CopyOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the copy of one digest ended: what was moved, and a fault for each repository that lacks it."""

    digest: str
    faults: dict[str, contract.Fault] = {}
    totals: contract.Totals = contract.Totals()


class TagIntent(msgspec.Struct, frozen=True, kw_only=True):
    """What a push is about to do to a tag: noted before the write, so that a repeat knows its own work."""

    action: contract.Action
    old_digest: str | None
    new_digest: str
    kept_platforms: list[str] = []
    protective_tag: str | None = None
    protective_tag_created: bool = False


class Ledger(Protocol):
    """The truth about each push: request, plan, outcomes, report. All writes may be repeated."""

    def accept(self, push_id: str, request: dict[str, Any]) -> None: ...
    def request(self, push_id: str) -> dict[str, Any] | None: ...
    def reopen(self, push_id: str) -> None:
        """Forget the report, the copies and the outcomes of a push that is to be run again; intents stay."""
        ...

    def save_plan(self, plan: Plan) -> None: ...
    def plan(self, push_id: str) -> Plan | None: ...
    def planned_copy(self, push_id: str, digest: str) -> Copy | None: ...
    def keep_content(self, push_id: str, digest: Digest, content: bytes) -> None: ...
    def content(self, push_id: str, digest: str) -> bytes | None: ...
    def record_copy(self, push_id: str, outcome: CopyOutcome) -> None: ...
    def copies(self, push_id: str) -> dict[str, CopyOutcome]: ...
    def record_progress(self, push_id: str, progress: contract.CopyProgress) -> None: ...
    def record_intent(self, push_id: str, reference: str, intent: TagIntent) -> None: ...
    def intents(self, push_id: str) -> dict[str, TagIntent]: ...
    def record_tag(self, push_id: str, tag: contract.TagReport) -> None: ...
    def tags(self, push_id: str) -> dict[str, contract.TagReport]: ...
    def finish(self, report: contract.PushReport) -> None: ...
    def report(self, push_id: str) -> contract.PushReport | None: ...
    def progress(self, push_id: str) -> contract.Progress:
        """Return how far a push is; raises PushUnknown."""
        ...

    def pushes(self) -> list[contract.Progress]:
        """Return the pushes that are remembered, the newest first."""
        ...


class TagLock(Protocol):
    """A tag that is held."""

    def ensure(self) -> None:
        """Raise LockLost unless the tag is still held."""
        ...


class TagLocks(Protocol):
    """One push at a time works on a tag, across all workers."""

    def hold(self, reference: str) -> AbstractContextManager[TagLock]:
        """Wait for the tag and hold it; raises LockUnavailable."""
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
