"""Decide on the new manifest of a tag from its present one (BEHAVIOUR 3.5, 4.9, 5.5, 7.6)."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from tasks.errors import (
    CopyIncomplete,
    DestinationChildMissing,
    DestinationError,
    ManifestInvalid,
    NotFound,
    OlderThanDestination,
)
from tasks.oci.digest import Digest
from tasks.oci.reference import Reference
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.transfer.overwritten import find_overwritten, lost_for_good
from tasks.transfer.plan.copies import needed
from tasks.transfer.plan.decide import Current, Decision, MergePolicy, decide, without
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.plan import Copy
from tasks.transfer.plan.read_image import current_of, read_current
from tasks.transfer.plan.selected_referrers import NOTHING, Along
from tasks.transfer.plan.tag_guard import OPEN, Gate
from tasks.transfer.ports import CopyOutcome, TagLock, TagLocks, TagRecord, Written
from tasks.transfer.publish.held_manifests import Sightings

LOG: Final = logging.getLogger(__name__)
_LOOKS: Final = 4


def _bring_nothing(_reference: Reference, _repository: Repository, _digest: str, _locks: TagLocks) -> Along:
    return NOTHING


class Wish(msgspec.Struct, frozen=True):
    """The common data of the tags of one item; `seen` are the manifests found at the destination moments ago.

    `bring` makes the referrers of the image findable in a repository whose tag is about to hold a digest.
    """

    image: SourceImage
    policy: MergePolicy
    drop_missing_children: bool
    recopy: Callable[[Copy], CopyOutcome]
    seen: Sightings
    bring: Callable[[Reference, Repository, str, TagLocks], Along] = _bring_nothing
    gate: Gate = OPEN
    keep_replaced: bool = False


class Staged(msgspec.Struct, frozen=True):
    """A decision on a tag that holds `held`; it builds on `base`, another manifest if a late write is mended."""

    decision: Decision
    held: Current | None
    base: Current | None
    record: TagRecord
    skip: OlderThanDestination | None = None
    is_contested: bool = False
    """Whether one of our writers, which stands still, may still overwrite what others wrote there."""
    mends: bool = False
    """Whether a late write of ours is at the tag, and `base` is what it replaced."""

    @property
    def is_right(self) -> bool:
        """Whether the tag stays as it is: it holds the wanted manifest, or a newer image."""
        return self.skip is not None or (self.held is not None and self.decision.digest == self.held.digest)

    @property
    def restores(self) -> bool:
        """Whether the tag gets just what a late write of ours replaced: that is no move of this push."""
        return self.mends and self.decision.digest == self.record.last

    @property
    def seen(self) -> Written | None:
        """The manifest that the tag holds, with its bytes where they were read."""
        held = self.held if self.mends or self.base is None else self.base
        return None if held is None else Written(held.digest, held.media_type, held.content)

    @property
    def over(self) -> Digest | None:
        """The digest that the tag holds, None for an absent tag."""
        return self.held.digest if self.held else None


class Stage:
    """The destination side of one tag, looked at under its lock."""

    def __init__(self, wish: Wish, repository: Repository, reference: Reference) -> None:
        self._wish = wish
        self._repository = repository
        self._reference = reference
        self._tag = reference.identifier

    def read(self, lock: TagLock, *, absent: bool = False) -> Staged:
        """Read the tag, unless it is taken to be absent, and decide on its new manifest (BEHAVIOUR 3.5).

        If nothing can be decided, and someone else has written the tag since the read, it is read again: its registry
        may have collected what the tag held before (BEHAVIOUR 7.2).
        """
        held = None if absent and lock.record().last is None else self._read()
        for _ in range(_LOOKS):
            try:
                return self._staged(held, lock)
            except DestinationError as error:
                now = self._read()
                if (now and now.digest) == (held and held.digest):
                    raise
                LOG.warning("%s was written by someone else meanwhile: %s", self._reference, error)
                held = now
        return self._staged(held, lock)

    def _staged(self, held: Current | None, lock: TagLock) -> Staged:
        record = lock.record()
        lost = self.overwritten(held.digest if held else None, record, lock)
        base = lost or held
        decision = self._decide(base)
        if not (held is not None and decision.digest == held.digest):
            base = self._whole(base)
            if decision.action == "unchanged":
                decision = msgspec.structs.replace(decision, action="merged" if decision.kept else "copied")
        is_contested = held is not None and record.may_lose(held.digest)
        return Staged(decision, held, base, record, is_contested=is_contested, mends=lost is not None)

    def wanted(self, digest: str) -> Current:
        """Return the manifest that a tag was given, with its bytes if it is the source's own."""
        image = self._wish.image
        if digest != image.digest:
            return Current(Digest(digest), "")
        return Current(image.digest, image.media_type, image.content, image.platform, image.details)

    def admitted(self, staged: Staged, before: Digest | None) -> Staged:
        """Return the decision if it is allowed; `before` is the tag's digest before the push (BEHAVIOUR 10.2).

        Raises the reason against the change; a tag to be skipped is marked (BEHAVIOUR 10.4).
        """
        try:
            self._wish.gate.check(
                self._repository, self._reference, staged.decision, current=staged.base, before=before
            )
        except OlderThanDestination as skip:
            return msgspec.structs.replace(staged, skip=skip)
        return staged

    def ensure_needs(self) -> None:
        """Look for all manifests that the tag needs from the source; copy missing ones again, once (BEHAVIOUR 5.5)."""
        needs = needed(self._wish.image)
        gone = self._wish.seen.lacking(self._repository, (need.digest for need in needs))
        for need in (need for need in needs if need.digest in gone):
            LOG.warning("%s: %s is gone from the registry and is copied again", self._reference, need.digest)
            copy = Copy(
                digest=need.digest,
                media_type=need.media_type,
                size=need.size,
                source=self._wish.image.reference.place,
                destinations=[self._reference.place],
            )
            for error in self._wish.recopy(copy).errors.values():
                raise CopyIncomplete(f"{self._reference} needs {need.digest}; copying it again failed: {error}")

    def overwritten(self, held: Digest | None, record: TagRecord, lock: TagLock) -> Current | None:
        """Return the manifest of ours that a late write of `held` replaced, None if there is none."""
        found = find_overwritten(self._repository, self._tag, held, record, lock)
        if found is None:
            return None
        if found.is_served:
            # The registry may have dropped parts of it.
            with suppress(NotFound):
                return self._looked_into(found.manifest)
        return self._looked_into(self._stored_again(found.manifest))

    def _stored_again(self, lost: FetchedManifest) -> FetchedManifest:
        """Store a dropped manifest again: the registry serves its parts from then on (BEHAVIOUR 7.6)."""
        try:
            self._repository.push_manifest(lost.digest, lost.content, lost.media_type)
        except CopyIncomplete as error:
            LOG.warning("%s: %s cannot be stored again: %s", self._reference, lost.digest, error)
            raise lost_for_good(self._repository, self._tag, lost.digest) from None
        return lost

    def _whole(self, base: Current | None) -> Current | None:
        """Return the replaced manifest with its bytes, so that an undo can write it again (BEHAVIOUR 6.6)."""
        if base is None or base.content:
            return base
        try:
            return msgspec.structs.replace(base, content=self._repository.fetch_manifest(base.digest).content)
        except (NotFound, ManifestInvalid):
            # The manifest is gone, as the look before the write will show; or no client can read it.
            return base

    def _looked_into(self, fetched: FetchedManifest) -> Current:
        return current_of(self._repository, fetched, self._wish.image)

    def _read(self) -> Current | None:
        whole = self._wish.gate.conditions.need_content
        return read_current(self._repository, self._tag, self._wish.image, self._wish.policy, whole=whole)

    def _decide(self, base: Current | None) -> Decision:
        """Decide until every kept entry is there (BEHAVIOUR 4.9)."""
        decision = decide(self._wish.image, base, self._wish.policy)
        missing = self._wish.seen.lacking(self._repository, (entry.digest for entry in decision.kept))
        if missing and base is not None:
            named = ", ".join(sorted(missing))
            if not self._wish.drop_missing_children:
                raise DestinationChildMissing(f"{self._reference} names {named}, which its registry lacks.")
            LOG.warning("%s: dropped %s, which the registry lacks", self._reference, named)
            decision = decide(self._wish.image, without(base, missing), self._wish.policy)
        for warning in decision.warnings:
            LOG.warning("%s: %s", self._reference, warning.message)
        return decision
