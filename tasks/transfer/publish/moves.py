"""The moves of the tags of a push, each with the wish of its item."""

from collections.abc import Mapping
from functools import partial

from tasks.errors import ImagePusherError, PushUnknown
from tasks.oci.details import with_details
from tasks.oci.document import parse_document
from tasks.oci.merge import MergeRules
from tasks.oci.reference import Reference
from tasks.registry.repository import Repository
from tasks.transfer.copy.totals import Counter
from tasks.transfer.plan.decide import MergePolicy
from tasks.transfer.plan.image import SourceImage, take_platforms
from tasks.transfer.plan.plan import Copy, Plan, PlannedTag, ResolvedItem
from tasks.transfer.plan.selected_referrers import MadeList
from tasks.transfer.plan.tag_guard import Gate
from tasks.transfer.ports import CopyOutcome, MayRetry, TagIntent
from tasks.transfer.publish.held_manifests import Sightings
from tasks.transfer.publish.parts import Publishing
from tasks.transfer.publish.records import LedgerIntents
from tasks.transfer.publish.referrers import ReferrerPublisher
from tasks.transfer.publish.stage import Wish
from tasks.transfer.publish.tag import TagMove


class Moves:
    """The moves of the tags of one push in one delivery.

    `noted` are the intents of earlier deliveries, by tag. `referrers` brings the referrers of images. `recopied` counts
    the blobs and manifests that were copied again.
    """

    def __init__(self, parts: Publishing, plan: Plan, noted: Mapping[str, TagIntent], may_retry: MayRetry) -> None:
        self._parts = parts
        self._plan = plan
        self.noted = noted
        self._seen = Sightings(parts.requests)
        self.recopied = Counter()
        self.referrers = ReferrerPublisher(
            self._recopy, self._seen, partial(parts.ledger.content, plan.push_id), may_retry, _made_lists(noted)
        )
        self._wishes = {
            number: self._wish(item) for number, item in enumerate(plan.items) if isinstance(item, ResolvedItem)
        }

    def move(self, number: int, tag: PlannedTag) -> TagMove:
        """Return the move of a tag to the image of the item `number`."""
        intents = LedgerIntents(self._parts.ledger, self._plan.push_id, str(tag.reference))
        return TagMove(self._wishes[number], self.repository(tag), tag, intents)

    def repository(self, tag: PlannedTag) -> Repository:
        """Return the destination repository of a tag."""
        return self._parts.registries.repository(*tag.reference.place, "destination", push=True)

    def _wish(self, item: ResolvedItem) -> Wish:
        rules = MergeRules(self._plan.exact_os_version)
        return Wish(
            image=self._image(item, rules),
            policy=MergePolicy(item.wanted.merge, item.wanted.single_arch, rules),
            drop_missing_children=self._plan.drop_missing_children,
            keep_replaced=self._plan.keep_replaced,
            recopy=self._recopy,
            seen=self._seen,
            bring=partial(self.referrers.bring, item),
            gate=Gate.for_item(item.wanted, item.age, rules, self._parts.ledger),
        )

    def _recopy(self, copy: Copy) -> CopyOutcome:
        outcome = self._parts.copier.copy(copy).outcome
        self.recopied.include(outcome.totals)
        return outcome

    def _read_again(self, item: ResolvedItem) -> bytes:
        """Return a manifest that the ledger lost, as where Redis was emptied during the planning (BEHAVIOUR 7.5)."""
        try:
            source = self._parts.registries.repository(*item.wanted.source.place, "source")
            return source.fetch_manifest(item.digest).content
        except ImagePusherError as error:
            raise PushUnknown(
                f"The source of the push {self._plan.push_id!r} is gone from the ledger, and cannot be read again:"
                f" {error.message}"
            ) from None

    def _image(self, item: ResolvedItem, rules: MergeRules) -> SourceImage:
        """Return the source image of the time of planning: its tag may have moved since (BEHAVIOUR 2.1)."""
        content = self._parts.ledger.content(self._plan.push_id, item.digest)
        if content is None:
            content = self._read_again(item)
        image = SourceImage(
            reference=item.wanted.source.at(item.digest),
            kind=item.kind,
            media_type=item.media_type,
            content=content,
            digest=item.digest,
            original_digest=item.digest,
            original_content=content,
            document=with_details(parse_document(content, item.media_type), item.details),
            platform=item.platform,
            details=item.details,
        )
        return take_platforms(image, item.eligible, rules)


def _made_lists(intents: Mapping[str, TagIntent]) -> list[tuple[str, MadeList]]:
    """Return the lists of referrers that earlier deliveries made, each with its repository."""
    return [(Reference.parse(name).name, each) for name, intent in intents.items() for each in intent.lists]
