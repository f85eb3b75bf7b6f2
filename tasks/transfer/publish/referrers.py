"""Make the referrers of an image findable at its destination, before the tag moves (BEHAVIOUR 9.2 to 9.5)."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tasks import contract
from tasks.errors import ImagePusherError, ReferrersRefused, Side
from tasks.oci.digest import Digest
from tasks.oci.reference import Reference
from tasks.oci.referrers import Referrer, describe, fallback_tag
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.transfer.plan.plan import Copy, ResolvedItem
from tasks.transfer.plan.referrers import PlannedReferrer
from tasks.transfer.plan.selected_referrers import Along, MadeList, counts, parted, unreadable
from tasks.transfer.ports import CopyOutcome, MayRetry, TagLocks
from tasks.transfer.publish.held_manifests import Sightings
from tasks.transfer.publish.key_locks import Turns
from tasks.transfer.publish.referrer_tags import ListTag, ListWrite

LOG: Final = logging.getLogger(__name__)


class ReferrerPublisher:
    """The publisher of referrers of the images of one delivery; threads share it.

    `recopy` copies a missing manifest again. Work that is done for one repository is not repeated for its next tag.
    `made` are the lists that earlier deliveries made, by repository.
    """

    def __init__(
        self,
        recopy: Callable[[Copy], CopyOutcome],
        seen: Sightings,
        content: Callable[[Digest], bytes | None],
        may_retry: MayRetry,
        made: Iterable[tuple[str, MadeList]] = (),
    ) -> None:
        self._recopy = recopy
        self._seen = seen
        self._content = content
        self._may_retry = may_retry
        self._turns = Turns()
        self._done: set[tuple[str, Digest, Digest, str | None]] = set()
        # The digests that each list had when it held only what this push put there.
        self._own: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for repository, each in made:
            self._own[repository, each.tag].add(each.digest)

    def bring(
        self, item: ResolvedItem, reference: Reference, repository: Repository, digest: str, locks: TagLocks
    ) -> Along:
        """Bring all referrers that go along with a tag that holds, or is about to hold, `digest`.

        Referrers that the registry refuses are left behind. Raises ReferrersRefused if the item needs one of them, and
        each error that is worth another try.
        """
        coming, left = parted(item, digest)
        if not coming and item.referrers_error is None:
            return Along(left=left)
        refused: dict[Digest, tuple[PlannedReferrer, ImagePusherError]] = {}
        there = []
        for each in coming:
            error = self._attempt(lambda each=each: self._ensure_there(item, repository, each))  # type: ignore[misc]
            if error is None:
                there.append(each)
            else:
                refused[each.digest] = (each, error)
        made: list[MadeList] = []
        for group in _groups(there):
            error = self._attempt(lambda group=group: self._find_once(repository, group, locks, made))  # type: ignore[misc]
            if error is not None:
                refused |= {each.digest: (each, error) for each in group}
        if item.wanted.referrers_required:
            _require(item, reference, refused)
        lost = tuple(
            each.left("unreadable" if error.side is Side.SOURCE else "refused", error)
            for each, error in refused.values()
        )
        arrived_here = [each for each in coming if each.digest not in refused]
        warnings = (*unreadable(item), *_refusal(reference, refused.values()))
        return Along(counts(arrived_here), (*left, *lost), warnings, tuple(made))

    def attach(
        self, repository: Repository, each: PlannedReferrer, manifest: FetchedManifest, locks: TagLocks
    ) -> list[MadeList]:
        """Store a manifest whose parts are there, and make it findable; return the lists that were written for that.

        Raises RegistryError, TagConflict, LockLost, LockUnavailable.
        """
        made: list[MadeList] = []
        if not repository.push_manifest(manifest.digest, manifest.content, manifest.media_type):
            self._make_found(repository, [each], locks, made)
        return made

    def _attempt(self, act: Callable[[], None]) -> ImagePusherError | None:
        """Return an error for which referrers are left behind; raises an error that is worth another try."""
        try:
            act()
        except ImagePusherError as error:
            error.on(Side.DESTINATION)
            if error.ends_locked_work or (error.passes and self._may_retry(error)):
                raise
            return error
        return None

    def _ensure_there(self, item: ResolvedItem, repository: Repository, each: PlannedReferrer) -> None:
        """Copy again, once, a manifest that the registry lacks."""
        if self._seen.holds(repository, each.digest):
            return
        said = each.referrer
        copy = Copy(
            digest=said.digest,
            media_type=said.media_type,
            size=said.size,
            source=item.wanted.source.place,
            destinations=[Reference(repository.registry, repository.name).place],
        )
        for error in self._recopy(copy).errors.values():
            raise error

    def _find_once(
        self, repository: Repository, group: list[PlannedReferrer], locks: TagLocks, made: list[MadeList]
    ) -> None:
        """Make some referrers of one digest findable, after whoever is doing so for another tag."""
        with self._turns.hold((str(repository), group[0].subject, group[0].tag)):
            self._make_found(repository, group, locks, made)

    def _make_found(
        self, repository: Repository, group: list[PlannedReferrer], locks: TagLocks, made: list[MadeList]
    ) -> None:
        """Make some referrers of one digest findable for the clients of a registry.

        A list that holds only what this push put there is noted in `made`, anew after each write.
        """
        first = group[0]
        keys = {(str(repository), first.subject, each.digest, first.tag) for each in group}
        if keys <= self._done:
            return
        if first.tag is not None:
            write = ListTag(repository, first.tag, locks).add_signatures(self._manifest(repository, first))
        else:
            write = self._list(repository, first.subject, group, locks)
        if write is not None:
            tag = first.tag or fallback_tag(first.subject)
            own = self._own[str(repository), tag]
            if write.before is None or write.before in own:
                own.add(write.after)
                made.append(MadeList(tag, write.after, first.root))
        self._done |= keys

    def _list(
        self, repository: Repository, subject: Digest, group: list[PlannedReferrer], locks: TagLocks
    ) -> ListWrite | None:
        """List referrers of a digest in the registry: by its API, or by the fallback index that its clients keep."""
        listed = repository.referrers(subject)
        known = {each.digest for each in listed or ()}
        missing = [each for each in group if each.digest not in known]
        if listed is not None:
            missing = [each for each in missing if not self._is_taken_care_of(repository, each)]
        if not missing:
            return None
        entries = [self._described(repository, each) for each in missing]
        return ListTag(repository, fallback_tag(subject), locks).add_entries(subject, entries)

    def _described(self, repository: Repository, each: PlannedReferrer) -> Referrer:
        """Return the entry that a manifest asks for: the list of the source may say less of it."""
        manifest = self._manifest(repository, each)
        return describe(manifest.content, manifest.media_type, manifest.digest)[0]

    def _is_taken_care_of(self, repository: Repository, each: PlannedReferrer) -> bool:
        """Store a manifest again that the API does not list; return whether the registry says that it lists it."""
        manifest = self._manifest(repository, each)
        return repository.push_manifest(manifest.digest, manifest.content, manifest.media_type)

    def _manifest(self, repository: Repository, each: PlannedReferrer) -> FetchedManifest:
        content = self._content(each.digest)
        if content is None:
            return repository.fetch_manifest(each.digest)
        return FetchedManifest(content, each.referrer.media_type, each.digest)


def _groups(referrers: Iterable[PlannedReferrer]) -> list[list[PlannedReferrer]]:
    """Return the referrers grouped by the place where clients find them: by subject, and by cosign tag.

    Referrers of referrers come first: a client that finds a signature also finds the referrers of the signature.
    """
    groups: dict[tuple[Digest, str | None], list[PlannedReferrer]] = {}
    for each in referrers:
        groups.setdefault((each.subject, each.tag), []).append(each)
    return list(reversed(groups.values()))


def _refusal(
    reference: Reference, refused: Iterable[tuple[PlannedReferrer, ImagePusherError]]
) -> tuple[contract.Notice, ...]:
    lost = list(refused)
    if not lost:
        return ()
    each, error = lost[0]
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    message = f"{reference} lacks {each.digest} ({each.referrer.artifact_type}){more}, which its source has: {error}"
    LOG.warning("%s", message)
    return (contract.Notice(ReferrersRefused.code, message),)


def _require(
    item: ResolvedItem, reference: Reference, refused: Mapping[Digest, tuple[PlannedReferrer, ImagePusherError]]
) -> None:
    """Raise ReferrersRefused if a referrer that the item needs was refused (BEHAVIOUR 9.5)."""
    if item.referrers_error is not None:
        raise item.referrers_error
    for each, error in refused.values():
        side = error.side or Side.DESTINATION
        raise ReferrersRefused(
            f"{reference} needs {each.digest} ({each.referrer.artifact_type}), which refers to its image: {error}",
            None,
            side,
        )
