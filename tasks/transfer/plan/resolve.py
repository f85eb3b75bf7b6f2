"""Read the inputs of a plan: each source, resolved once, and each destination tag (BEHAVIOUR sections 2 and 3)."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager

import msgspec

from tasks import contract
from tasks.errors import (
    AuthenticationRefused,
    ContentMismatch,
    ImagePusherError,
    Irreversible,
    OlderThanDestination,
    Retry,
    Side,
)
from tasks.oci.digest import Digest
from tasks.oci.merge import MergeRules
from tasks.oci.reference import Reference, RepositoryName
from tasks.registry.foresight.foresight import Foresight
from tasks.registry.foresight.questions import Wish
from tasks.registry.repository import Registries, Repository
from tasks.transfer.plan.conditions import accepted
from tasks.transfer.plan.decide import Current, MergePolicy, decide
from tasks.transfer.plan.default_image import pick_image
from tasks.transfer.plan.entry_sizes import ensure_sizes, read_disputed_sizes
from tasks.transfer.plan.find_referrers import find_referrers
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.image_age import read_age
from tasks.transfer.plan.keyless import TrustRoot
from tasks.transfer.plan.plan import PlannedTag, eligible
from tasks.transfer.plan.read_image import read_current, read_source
from tasks.transfer.plan.referrers import FoundReferrers
from tasks.transfer.plan.repositories import Found, make_ready
from tasks.transfer.plan.source_sizes import Sizes
from tasks.transfer.plan.tag_facts import NoFacts, TagFacts, TagRelease
from tasks.transfer.plan.tag_guard import Gate
from tasks.transfer.request.valid import ValidItem, ValidRequest

Findings = tuple[list[SourceImage | ImagePusherError], list[list[PlannedTag]], list[FoundReferrers]]


def prepare(
    request: ValidRequest,
    registries: Registries,
    executor: Executor,
    *,
    push: bool,
    facts: TagFacts | None = None,
    trust: TrustRoot | None = None,
) -> Findings:
    """Return the findings on each item's source, tags and referrers, errors included.

    Items that go to one tag are planned in their order, each on the result of the one before (BEHAVIOUR 1.5). Without
    `push`, as in a dry run, only pull scope is asked for. Raises StateUnavailable, which is no fault of a tag.
    """
    rules = MergeRules(request.target.exact_os_version)
    sources = list(executor.map(lambda item: read_item(item, request, registries, rules, trust), request.items))
    good = (item for item, found in zip(request.items, sources, strict=True) if isinstance(found, SourceImage))
    places = (reference.place for item in good for reference in item.destinations)
    ready = make_ready(places, registries, executor, request.target, push=push)
    sizes = Sizes(registries)
    looking = _Looking(
        registries,
        rules,
        push,
        facts or NoFacts(),
        ready,
        Foresight(),
        sizes,
        is_release=request.atomic is not None,
        disputed=read_disputed_sizes(sources, registries),
    )
    by_tag: dict[Reference, list[int]] = {}
    for number, item in enumerate(request.items):
        for reference in item.destinations:
            by_tag.setdefault(reference, []).append(number)

    def look(reference: Reference) -> dict[int, PlannedTag]:
        return looking.tags(
            reference, {number: (request.items[number], sources[number]) for number in by_tag[reference]}
        )

    planned = dict(zip(by_tag, executor.map(look, by_tag), strict=True))
    tags = [
        [planned[reference][number] for reference in item.destinations] for number, item in enumerate(request.items)
    ]
    referrers = find_referrers(sources, [item.referrers for item in request.items], registries, executor)
    sources = [sizes.with_manifests(found) if isinstance(found, SourceImage) else found for found in sources]
    return sources, tags, referrers


def policy_of(item: ValidItem, rules: MergeRules) -> MergePolicy:
    """Return the merge settings of an item."""
    return MergePolicy(item.merge, item.single_arch, rules)


def read_item(
    item: ValidItem,
    request: ValidRequest,
    registries: Registries,
    rules: MergeRules,
    trust: TrustRoot | None = None,
) -> SourceImage | ImagePusherError:
    """Return the source of an item, or the error against pushing it."""
    repository = registries.repository(*item.source.place, "source")
    try:
        image = read_source(
            repository,
            pick_image(repository, item.source, item.platforms) if item.kind == "image" else item.source,
            kind=item.kind,
            single_arch=item.single_arch,
            eligible=eligible(item, request.target.platforms),
            rules=rules,
            platform_matters=item.conditions.need_platform,
        )
        if item.verify:
            # Few pushes ask for signatures.
            from tasks.transfer.plan.required_signatures import require_signature  # noqa: PLC0415

            require_signature(repository, image, item.verify, trust)
        by = item.conditions.forward_only
        if by is None:
            return image
        return msgspec.structs.replace(image, age=read_age(repository, image.original_content, image.media_type, by))
    except ImagePusherError as error:
        return error.on(Side.SOURCE)


class _Looking(msgspec.Struct, frozen=True):
    registries: Registries
    rules: MergeRules
    push: bool
    facts: TagFacts
    ready: Mapping[RepositoryName, Found]
    foresight: Foresight
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
                self._foresee(repository, reference, wish, exists=current is not None)
                if current is None:
                    unseen = (*unseen, *self._ensure_deletable(repository, reference, item))
        except OlderThanDestination as skip:
            held = current.digest if current else None
            skipped = msgspec.structs.replace(planned, action="skipped", old_digest=held, new_digest=held, error=skip)
            return skipped, left
        except ImagePusherError as error:
            if error.retry is Retry.GIVE_BACK:
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
            if error.retry is Retry.GIVE_BACK or is_planned or not self._may_go_back(reference, release):
                raise

    def _may_go_back(self, reference: Reference, release: TagRelease | None) -> bool:
        """Tell whether a release may put back what a tag held at some time since `release` was noted last there."""
        found = self.facts.release_at(str(reference)) if self.push else None
        return found != release or (found is not None and not found.is_still)

    def _foresee(self, repository: Repository, reference: Reference, wish: Wish, *, exists: bool) -> None:
        """Raise the refusal of a tag that can be known before any byte moves: by the registry's API, by the token."""
        repository.foresee(self.foresight, wish, tag=reference.tag if exists else None)
        if self.push:
            repository.require_push()

    def _ensure_deletable(
        self, repository: Repository, reference: Reference, item: ValidItem
    ) -> tuple[contract.Notice, ...]:
        """Raise Irreversible for a new tag of a release that is immutable at once, or return the item's acceptance."""
        why = None
        if self.is_release and reference.tag is not None:
            why = repository.why_fixed(self.foresight, reference.tag)
        if why is None:
            return ()
        error = Irreversible(f"{reference} is new, and could not be deleted again: {why}.")
        if item.irreversible != "accept":
            raise error
        return (accepted(error),)

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
