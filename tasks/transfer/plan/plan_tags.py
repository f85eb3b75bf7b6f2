"""Plan the action on a destination tag from what it holds now (BEHAVIOUR section 3)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from tasks import contract
from tasks.errors import (
    AuthenticationRefused,
    ContentMismatch,
    ImagePusherError,
    OlderThanDestination,
    Side,
)
from tasks.oci.digest import Digest
from tasks.oci.merge import MergeRules
from tasks.oci.reference import Reference, RepositoryName
from tasks.registry.preflight.preflight import Preflight
from tasks.registry.preflight.questions import Wish
from tasks.registry.repository import Registries, Repository
from tasks.transfer.plan.decide import Current, MergePolicy, decide
from tasks.transfer.plan.entry_sizes import ensure_sizes
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.new_tags import NewTags
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.plan.read_image import read_current
from tasks.transfer.plan.repositories import Found
from tasks.transfer.plan.source_sizes import Sizes
from tasks.transfer.plan.tag_facts import TagFacts, TagRelease
from tasks.transfer.plan.tag_guard import Gate
from tasks.transfer.request.valid import ValidItem


def policy_of(item: ValidItem, rules: MergeRules) -> MergePolicy:
    """Return the merge settings of an item."""
    return MergePolicy(item.merge, item.single_arch, rules)


class TagPlanner(msgspec.Struct, frozen=True):
    """Plans the actions on destination tags; used by several threads.

    `ready` are the destination repositories, each made or looked at. `disputed` are the sizes of manifests whose
    indexes disagree about them. Without `push`, as in a dry run, only pull scope is asked for.
    """

    registries: Registries
    rules: MergeRules
    push: bool
    facts: TagFacts
    ready: Mapping[RepositoryName, Found]
    preflight: Preflight
    new_tags: NewTags
    sizes: Sizes
    is_release: bool
    disputed: Mapping[Digest, int]

    def tags(
        self, reference: Reference, items: Mapping[int, tuple[ValidItem, SourceImage | ImagePusherError]]
    ) -> dict[int, PlannedTag]:
        """Return the planned action of each item on one tag, in the order of the items."""
        planned: dict[int, PlannedTag] = {}
        left: Current | None = None
        for number, (item, source) in items.items():
            before = next((tag.old_digest for tag in planned.values() if tag.error is None), None)
            planned[number], left = self._tag(item, source, reference, left, before)
        return planned

    def _tag(
        self,
        item: ValidItem,
        source: SourceImage | ImagePusherError,
        reference: Reference,
        left: Current | None,
        before: Digest | None,
    ) -> tuple[PlannedTag, Current | None]:
        """Return the planned action of an item on a tag, and the manifest that the tag then holds.

        `left` is the manifest that another item puts there, in place of `before`.
        """
        planned = PlannedTag(reference=reference, action="failed")
        if isinstance(source, ImagePusherError):
            return msgspec.structs.replace(planned, error=source), left
        found = self.ready.get(reference.place)
        if isinstance(found, ImagePusherError):
            return msgspec.structs.replace(planned, error=found), left
        repository = self.registries.repository(*reference.place, "destination", push=self.push)
        release = self.facts.release_at(str(reference)) if self.push and left is None else None
        try:
            _check_digest(reference, source)
            current, unseen = (left, ()) if left else self._current(repository, reference, source, item)
            decision = decide(source, current, policy_of(item, self.rules))
            gate = Gate.for_item(item, source.age, self.rules, self.facts)
            if left is None:
                before = current.digest if current else None
            else:
                gate = gate.without_age()
            with self._not_by_half(reference, release, is_planned=left is not None):
                gate.check(repository, reference, decision, current=current, before=before)
            if decision.action != "unchanged":
                ensure_sizes(source, self.disputed)
                wish = Wish(decision.digest, lambda: self.sizes.of(source))
                self._require_writable(repository, reference, wish, exists=current is not None)
                if current is None and self.is_release:
                    accepts = item.irreversible == "accept"
                    seen = self.new_tags.check(repository, reference, asks_registry=self.push, accepts=accepts)
                    unseen = (*unseen, *seen)
        except OlderThanDestination as skip:
            held = current.digest if current else None
            skipped = msgspec.structs.replace(planned, action="skipped", old_digest=held, new_digest=held, error=skip)
            return skipped, left
        except ImagePusherError as error:
            if error.gives_back:
                raise
            return msgspec.structs.replace(planned, error=error.on(Side.DESTINATION)), left
        action: contract.Action = decision.action
        if self.push and action == "unchanged" and (left is not None or self._may_go_back(reference, release)):
            # The tag will be right once the item before is done, or until a release puts it back: that is decided again
            # under the tag's lock.
            action = "merged" if decision.kept else "copied"
        planned = msgspec.structs.replace(
            planned,
            action=action,
            old_digest=current.digest if current else None,
            new_digest=decision.digest,
            kept_platforms=decision.kept_platforms,
            warnings=[*unseen, *decision.warnings],
        )
        return planned, decision.held

    @contextmanager
    def _not_by_half(self, reference: Reference, release: TagRelease | None, *, is_planned: bool) -> Iterator[None]:
        """Let no condition fail by what a release may put back: it is checked again under the tag's lock."""
        try:
            yield
        except ImagePusherError as error:
            if error.gives_back or is_planned or not self._may_go_back(reference, release):
                raise

    def _may_go_back(self, reference: Reference, release: TagRelease | None) -> bool:
        """Tell whether a release may yet put the tag back; `release` was the last one there before the tag was read."""
        found = self.facts.release_at(str(reference)) if self.push else None
        return found != release or (found is not None and not found.is_still)

    def _require_writable(self, repository: Repository, reference: Reference, wish: Wish, *, exists: bool) -> None:
        """Raise the refusal of a tag that can be known before any byte moves: by the registry's API, by the token."""
        repository.require_writable(self.preflight, wish, tag=reference.tag if exists else None)
        if self.push:
            repository.require_push()

    def _current(
        self, repository: Repository, reference: Reference, source: SourceImage, item: ValidItem
    ) -> tuple[Current | None, tuple[contract.Notice, ...]]:
        """Return the manifest of a tag; a dry run treats a repository that may be absent as absent, and warns of it."""
        found = self.ready.get(reference.place)
        if isinstance(found, contract.Notice):
            return None, (found,)
        try:
            policy, whole = policy_of(item, self.rules), item.conditions.need_content
            return read_current(repository, reference.identifier, source, policy, whole=whole), ()
        except AuthenticationRefused as error:
            if self.push or not error.may_be_absent:
                raise
            said = f"{repository} is absent, or not readable: some registries show a new one only to those who push."
            return None, (contract.Notice("absent_or_unreadable", said),)


def _check_digest(reference: Reference, source: SourceImage) -> None:
    """Raise ContentMismatch if a destination names another digest than the source's."""
    if reference.digest is not None and reference.digest != source.digest:
        raise ContentMismatch(f"{reference} is not the digest of the image, which is {source.digest}.")
