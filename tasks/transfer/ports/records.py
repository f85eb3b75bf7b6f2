"""The records that a ledger keeps of a push."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError
from tasks.oci import media_types
from tasks.oci.carried import Carried
from tasks.oci.digest import Digest, digest_of
from tasks.oci.referrers import describe
from tasks.transfer.plan.plan import Copy
from tasks.transfer.plan.referrers import PlannedReferrer
from tasks.transfer.plan.selected_referrers import MadeList

# "begun", or how it ended.
UndoState = Literal["begun", "succeeded", "partial", "failed"]
# What somebody did to a whole push; an undo that failed is none.
CalledOff = Literal["cancelled", "undone"]


class CopyOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of the copy of one digest: totals, and an error for each repository that did not get the digest."""

    digest: str
    errors: dict[str, ImagePusherError] = {}
    totals: contract.Totals = contract.Totals()


class MadeReceipt(msgspec.Struct, frozen=True):
    """The manifest of a receipt that a push attaches: its image, and what else the push brought that refers to it."""

    digest: Digest
    subject: Digest
    beside: list[str] = []


class KeptReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of one tag: its bundle, and the manifest that refers from it to the image `subject`.

    `name` is that of the tag and its move. `attached` tells whether the destination has it.
    """

    name: str
    reference: str
    subject: Digest
    manifest: bytes
    bundle: bytes
    referrers: list[Carried] = []
    attached: bool = False

    @property
    def planned(self) -> PlannedReferrer:
        """The receipt as a planned referrer of its image."""
        described, _ = describe(self.manifest, media_types.OCI_MANIFEST, digest_of(self.manifest))
        return PlannedReferrer(referrer=described, subject=self.subject, root=self.subject)


# Stands for a deletion in the record of a tag's writes.
DELETED: Final = "deleted"
# The new digest of a tag that is to be absent.
NO_TAG: Final = Digest("")


class TagIntent(msgspec.Struct, frozen=True, kw_only=True):
    """The change that a push is about to make at a tag, noted before the write so that a repeat knows its own work.

    The ledger keeps the bytes of the manifest `old_digest`, whose media type is `old_media_type`. `written_before` is
    the digest that an earlier item of this push had written there at that time. `overtaken` are further tags that this
    push made, with their digests: for its superseded merges, and for the replaced manifest. `lists` are the tags that
    it made for lists of the image's referrers, with each digest that they had when nobody else had added to them.
    `settled` marks the intent of an earlier run of the push, which ended with a report; `by` names the delivery that
    noted it.
    """

    action: contract.Action
    old_digest: Digest | None
    new_digest: Digest
    old_media_type: str = ""
    kept_platforms: list[str] = []
    warnings: list[contract.Notice] = []
    protective_tag: str | None = None
    protective_tag_created: bool = False
    written_before: Digest | None = None
    overtaken: dict[str, Digest] = {}
    lists: list[MadeList] = []
    receipts: list[MadeReceipt] = []
    settled: bool = False
    by: str = ""

    @property
    def changes(self) -> bool:
        """Whether the push is to write the tag; False for a tag that was put back."""
        return self.action != "unchanged"

    def beside(self) -> dict[str, Digest]:
        """Return the tags that this push made beside the tag, with their digests."""
        made = self.protective_tag is not None and self.protective_tag_created
        return {**self.overtaken, **({str(self.protective_tag): self.new_digest} if made else {})}


class Intervention(msgspec.Struct, frozen=True, kw_only=True):
    """One intervention in a push or a tag: `at` is its time in epoch seconds, `outcome` its result or "" before."""

    action: Literal["retry", "undo", "cancel", "hold", "release-hold"]
    user: str
    at: float
    outcome: str = ""


class EarlierTag(msgspec.Struct, frozen=True):
    """The report of a tag that an earlier run of the push moved; `reported` tells whether that run ended."""

    tag: contract.TagReport
    reported: bool


class TakenCopy(msgspec.Struct, frozen=True):
    """The records of one copy; None for parts that were never planned, or have not ended yet.

    `lost` counts the lost starts. `content` is the manifest, if planning read it already. `cancelled` tells whether the
    push is to go no further.
    """

    planned: Copy | None
    outcome: CopyOutcome | None
    lost: int = 0
    content: bytes | None = None
    cancelled: bool = False


class OpenPush(msgspec.Struct, frozen=True, kw_only=True):
    """A push whose result has not been stored, as the watchdog sees it.

    `known` is False if its record is gone. `planned` and `ended` tell its progress. `quiet_since`, in seconds since the
    epoch, is the time of its last sign of life, or of its next delivery. `done` counts copies and tags that ended,
    `drives` counts the drives since `done` last rose. Beside `task_id` more tasks may wait for the result: `accepted`
    tasks, and `noted` tasks, which no worker has received yet.
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
        """The tasks that workers have received, each once."""
        return tuple(dict.fromkeys((self.task_id, *self.accepted)))


class Written(msgspec.Struct, frozen=True):
    """A manifest that a push wrote at a tag."""

    digest: str
    media_type: str
    content: bytes


class Writer(msgspec.Struct, frozen=True):
    """A delivery of a push that writes a tag."""

    push_id: str
    delivery: str


class TagRecord(msgspec.Struct, frozen=True):
    """The writes of our pushes at one tag (BEHAVIOUR 7.6).

    `last` is the digest of the last verified write, or of what someone else was seen to have written since; `writer` is
    who wrote it. `under_way` maps the digest of each unverified write to the value of `last` when it was announced; a
    deletion is a write of DELETED. Several writers, those in `writers`, may have announced one digest. Those in `begun`
    then began to write it. The digests in `landed` were seen at the tag by other pushes, while such a write of them was
    not verified.
    """

    last: str | None = None
    under_way: Mapping[str, frozenset[str | None]] = msgspec.field(default_factory=dict)
    writer: Writer | None = None
    writers: Mapping[str, frozenset[Writer]] = msgspec.field(default_factory=dict)
    begun: Mapping[str, frozenset[Writer]] = msgspec.field(default_factory=dict)
    landed: frozenset[str] = frozenset()

    def overwritten_by(self, held: str | None) -> str | None:
        """Return the digest that `held` replaced if one of our writers wrote it after its lock had ended, else None.

        None is held by a tag that is gone.
        """
        if held == self.last:
            return None
        return self.last if self.under_way.get(held or DELETED, frozenset()) - {self.last} else None

    def push_that_wrote(self, held: str) -> str | None:
        """Return the push that wrote what the tag holds, None if that cannot be told."""
        if held == self.last and self.writer is not None:
            return self.writer.push_id
        pushes = {writer.push_id for writer in self.begun.get(held, ())}
        return next(iter(pushes)) if len(pushes) == 1 else None

    def has_verified(self, digest: str, writer: Writer, *, by_another: bool) -> bool:
        """Tell whether a push that noted a write of `digest` found it at the tag afterwards, or others found it there.

        None of its deliveries has the write under way then, whatever others wrote since. If another delivery than
        `writer` noted it (`by_another`), the writes of `writer` do not count.
        """
        if digest in self.landed and self.push_that_wrote(digest) == writer.push_id:
            return True
        waiting = self.writers.get(digest, frozenset()) - ({writer} if by_another else set())
        return self.last is not None and writer.push_id not in {each.push_id for each in waiting}

    def may_lose(self, held: str) -> bool:
        """Tell whether one of our writers, which stands still, may still overwrite what someone else wrote."""
        return held != self.last and any(digest != held for digest in self.under_way)
