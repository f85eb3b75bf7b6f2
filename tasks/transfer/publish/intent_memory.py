"""The intents of one push at one tag, by which the push recognises its own work (BEHAVIOUR 6.6, 7.3, 7.4). Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from tasks.oci.digest import Digest
from tasks.transfer.plan.decide import Current, Decision
from tasks.transfer.plan.selected_referrers import MadeList
from tasks.transfer.ports import NO_TAG, TagIntent


class Memory(msgspec.Struct, frozen=True):
    """The intents that this push noted, by the digest to write, and the `latest` of them.

    A process that stood still may find its own work at the tag after a later delivery noted another intent. So the
    memory also keeps intents that the ledger no longer has. `pending` is the latest intent while this push has
    certainly not begun to write its digest: another push of the same image may have written the digest.
    """

    intents: Mapping[str, TagIntent] = msgspec.field(default_factory=dict)
    latest: TagIntent | None = None
    pending: TagIntent | None = None

    def recalling(self, noted: TagIntent | None, *, has_written: bool | None = None) -> "Memory":
        """Return the memory with the ledger's intent, which is the last intent of any delivery.

        If another delivery noted it, the protective tags of this delivery are kept. `has_written` tells, if that is
        known, whether any delivery of this run of the push may have written the tag.
        """
        memory = self._with(noted)
        if has_written is None:
            return memory
        waits = not has_written and memory.latest is not None and not memory.latest.settled
        return msgspec.structs.replace(memory, pending=memory.latest if waits else None)

    def _with(self, noted: TagIntent | None) -> "Memory":
        if noted is None or noted == self.latest:
            return self
        if self.made_protection(noted.new_digest):
            noted = msgspec.structs.replace(noted, protective_tag_created=True)
        noted = msgspec.structs.replace(noted, overtaken=self._overtaken(noted.new_digest) | noted.overtaken)
        return Memory({**self.intents, noted.new_digest: noted}, noted, self.pending)

    def remembering(self, intent: TagIntent) -> "Memory":
        """Return the memory with an intent that was just noted."""
        pending = intent if self.own(intent.new_digest) is None else None
        return Memory({**self.intents, intent.new_digest: intent}, intent, pending)

    def writing(self) -> "Memory":
        """Return the memory for the time after the write of the tag began."""
        return Memory(self.intents, self.latest)

    def told(self, *, is_mine: bool) -> "Memory":
        """Return the memory for the time after it was found out whether this push wrote the latest intent's digest."""
        return Memory(self.intents, self.latest, None if is_mine else self.latest)

    def own(self, digest: str | None) -> TagIntent | None:
        """Return the intent to write `digest`, None if this push did not write it."""
        found = None if digest is None else self.intents.get(digest)
        if found is None and digest is not None and self.latest is not None and self.latest.written_before == digest:
            return msgspec.structs.replace(self.latest, new_digest=digest, written_before=None)
        return None if found == self.pending else found

    def intent(self, decision: Decision, base: Current | None) -> TagIntent:
        """Return the intent of a decision on `base`: the tag's manifest, or the one that a late write replaced.

        The old digest is from before the first write of this push, unless another push wrote in between.
        """
        mine = self.own(base.digest) if base is not None else None
        intent = TagIntent(
            action="merged" if decision.action == "merged" else "copied",
            old_digest=base.digest if base is not None else None,
            old_media_type=base.media_type if base is not None else "",
            new_digest=decision.digest,
            kept_platforms=decision.kept_platforms,
            warnings=list(decision.warnings),
            overtaken=self._overtaken(decision.digest),
        )
        return intent if mine is None or base is None else _with_old(intent, mine, base.digest)

    def left(self, decision: Decision) -> TagIntent:
        """Return the intent of a tag that stays as it is: this push's own intent, or one without a change."""
        return self.own(decision.digest) or self.nothing(decision)

    def nothing(self, decision: Decision) -> TagIntent:
        """Return the intent of a tag that holds what is wanted by the work of others."""
        return TagIntent(
            action="unchanged",
            old_digest=decision.digest,
            new_digest=decision.digest,
            kept_platforms=decision.kept_platforms,
        )

    def with_lists(self, intent: TagIntent, made: Iterable[MadeList]) -> TagIntent:
        """Return the intent with all lists of referrers, and receipts, that this push made for the tag."""
        latest = self.latest
        lists = [*(latest.lists if latest is not None else ()), *made]
        receipts = latest.receipts if latest is not None else []
        return msgspec.structs.replace(intent, lists=list(dict.fromkeys(lists)), receipts=receipts)

    @property
    def is_idle(self) -> bool:
        """Whether the latest intent is one by which this push certainly wrote nothing that the tag may hold."""
        latest = self.latest
        if latest is None or not latest.changes:
            return latest is not None
        return self.pending == latest and latest.written_before is None

    @property
    def may_have_written(self) -> bool:
        """Whether this run of the push, perhaps by another delivery, may have written the latest intent's digest."""
        latest = self.latest
        return latest is not None and latest.changes and not latest.settled and not self.is_idle

    def forgotten(self, decision: Decision | None = None) -> TagIntent | None:
        """Return the latest intent as one that changes nothing, for a tag that was put back.

        With a `decision`, the tag has been found as wanted. None if this run of the push has noted none. The tags that
        were made along with it may not all be gone.
        """
        latest = self.latest
        if latest is None or latest.settled:
            return None
        if decision is not None:
            return msgspec.structs.replace(self.left(decision), overtaken=latest.beside(), lists=latest.lists)
        return TagIntent(
            action="unchanged",
            old_digest=latest.old_digest,
            old_media_type=latest.old_media_type,
            new_digest=latest.old_digest or NO_TAG,
            overtaken=latest.beside(),
            lists=latest.lists,
        )

    def made_protection(self, digest: str) -> bool:
        """Tell whether this push made the protective tag of a merged index."""
        earlier = self.intents.get(digest)
        if earlier is not None and earlier.protective_tag_created:
            return True
        return self.latest is not None and digest in self.latest.overtaken.values()

    def protective_tags(self) -> list[str]:
        """Return the protective tags that this push made, the latest first."""
        return list(reversed(self.beside()))

    def beside(self) -> dict[str, Digest]:
        """Return the tags that this push made beside the tag, with their digests."""
        return {} if self.latest is None else self.latest.beside()

    def _overtaken(self, digest: Digest) -> dict[str, Digest]:
        latest = self.latest
        if latest is None:
            return {}
        left = {latest.protective_tag: latest.new_digest} if latest.protective_tag_created else {}
        return {tag: of for tag, of in (latest.overtaken | left).items() if tag is not None and of != digest}


def _with_old(intent: TagIntent, earlier: TagIntent, written: str) -> TagIntent:
    """Return the intent with the old manifest of an earlier one, by which this push wrote what the tag holds now."""
    before = written if written != intent.new_digest else earlier.written_before
    return msgspec.structs.replace(
        intent, old_digest=earlier.old_digest, old_media_type=earlier.old_media_type, written_before=before
    )
