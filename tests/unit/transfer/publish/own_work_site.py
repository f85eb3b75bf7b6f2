"""One tag of one repository, and deliveries of a push that work there."""

from dataclasses import dataclass, field
from typing import Any

from tasks.errors import NotFound, RegistryUnavailable
from tasks.oci import media_types
from tasks.oci.digest import Digest
from tasks.registry.manifest_answer import FetchedManifest
from tasks.transfer.plan.decide import Current, Decision
from tasks.transfer.ports import TagIntent, TagRecord
from tasks.transfer.publish.held_digest import HeldDigest
from tasks.transfer.publish.own_work import OwnWork
from tasks.transfer.publish.own_writes import OwnWrites
from tasks.transfer.publish.protective import ProtectiveTags
from tasks.transfer.publish.stage import Staged
from tests.support.intents import MemoryIntents
from tests.support.plans import planned_tag
from tests.support.tag_locks import MemoryTag, MemoryTagLocks

TAG = planned_tag("b.example/app:1", old_digest=Digest("sha256:before"))
REFERENCE = str(TAG.reference)
BEFORE, THEIRS, MINE, LATER = (Digest(f"sha256:{name}") for name in ("before", "theirs", "mine", "later"))
PROTECTIVE = "1.merged-mine"


@dataclass
class Tags:
    """The tags of a repository, by the digests that they hold; `unserved` are not looked at, `kept` not deleted."""

    held: dict[str, Digest] = field(default_factory=dict)
    unserved: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)

    def digest_at(self, tag: str) -> Digest | None:
        if tag in self.unserved:
            raise RegistryUnavailable("b.example does not serve.")
        return self.held.get(tag)

    def fetch_manifest(self, tag: str) -> FetchedManifest:
        if tag not in self.held:
            raise NotFound(tag)
        return FetchedManifest(b"{}", media_types.OCI_INDEX, self.held[tag])

    def delete_tag(self, tag: str) -> bool:
        if tag in self.kept:
            raise RegistryUnavailable("b.example does not serve.")
        return self.held.pop(tag, None) is not None


@dataclass
class NothingLost:
    """A stage that finds no other manifest of ours than `lost` under a late write."""

    lost: Current | None = None

    def overwritten(self, held: Digest, record: TagRecord, lock: MemoryTag) -> Current | None:
        del held, record, lock
        return self.lost


class Site:
    """One tag of one repository, with its locks and its records; each `work` is a delivery of the same push."""

    def __init__(self) -> None:
        self.locks = MemoryTagLocks()
        self.log = MemoryIntents()
        self.tags = Tags()
        self.stage = NothingLost()

    def work(self) -> OwnWork:
        repository: Any = self.tags
        stage: Any = self.stage
        protective = ProtectiveTags(repository, TAG.reference, self.log, keep_replaced=False)
        return OwnWork(TAG, self.log, protective, OwnWrites(HeldDigest(repository, "1"), stage))

    def lock(self) -> MemoryTag:
        with self.locks.hold(REFERENCE) as lock:
            return lock

    @property
    def fields(self) -> dict[str, str]:
        return self.locks.fields.get(REFERENCE, {})


def held(digest: Digest) -> Current:
    return Current(digest, media_types.OCI_INDEX, b"{}")


def decided(digest: Digest) -> Decision:
    return Decision("merged", held(digest))


def unchanged(digest: Digest) -> TagIntent:
    return TagIntent(action="unchanged", old_digest=digest, new_digest=digest)


def noted(new: Digest, old: Digest | None = BEFORE, **more: Any) -> TagIntent:
    return TagIntent(action="merged", old_digest=old, new_digest=new, **more)


def staged(
    over: Digest | None, *, wanted: Digest = MINE, record: TagRecord | None = None, mends: bool = False
) -> Staged:
    """Return a decision on a tag that holds `over`."""
    now = None if over is None else held(over)
    return Staged(decided(wanted), now, now, record or TagRecord(), mends=mends)


def writing(site: Site, intent: TagIntent, over: Digest | None = BEFORE) -> OwnWork:
    """Return the work of a delivery that began to write the digest of an intent."""
    work, lock = site.work(), site.lock()
    work.note(lock, staged(over, record=lock.record()), intent)
    work.begin(lock, intent.new_digest)
    return work
