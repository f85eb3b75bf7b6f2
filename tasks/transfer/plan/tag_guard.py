"""Check whether a tag may change, and read the manifests needed for that (BEHAVIOUR 10.2 to 10.4)."""

from typing import Final

import msgspec

from tasks.oci.digest import Digest
from tasks.oci.merge import DEFAULT_RULES, MergeRules
from tasks.oci.reference import Reference
from tasks.oci.version import UNKNOWN_AGE, Age
from tasks.registry.repository import Repository
from tasks.transfer.plan.conditions import Change, goes_back, refusal
from tasks.transfer.plan.decide import Current, Decision
from tasks.transfer.plan.image_age import read_age
from tasks.transfer.plan.tag_facts import NoFacts, TagFacts
from tasks.transfer.request.conditions import UNCONDITIONAL, Conditions
from tasks.transfer.request.valid import ValidItem


class Gate(msgspec.Struct, frozen=True):
    """The conditions of one item's tags; `source` is its source with the requested tag, `age` that of its image."""

    source: Reference | None = None
    conditions: Conditions = UNCONDITIONAL
    rules: MergeRules = DEFAULT_RULES
    age: Age = UNKNOWN_AGE
    facts: TagFacts = msgspec.field(default_factory=NoFacts)

    @classmethod
    def for_item(cls, item: ValidItem, age: Age, rules: MergeRules, facts: TagFacts) -> "Gate":
        """Return the gate of an item."""
        return cls(item.source, item.conditions, rules, age, facts)

    def without_age(self) -> "Gate":
        """Return a gate that does not check whether a tag goes forward: the manifest to compare is not there yet."""
        return msgspec.structs.replace(self, conditions=msgspec.structs.replace(self.conditions, forward_only=None))

    def check(
        self,
        repository: Repository,
        reference: Reference,
        decision: Decision,
        *,
        current: Current | None,
        before: Digest | None,
    ) -> None:
        """Raise an error if a tag that holds `current` must not change; `before` is the digest that the push found.

        Raises OlderThanDestination if the tag is to be skipped, DestinationError, PlatformMissing, TagImmutable,
        RegistryError.
        """
        change = Change(reference, before, current, decision, self.rules)
        hold = None if change.is_none else self.facts.hold_of(str(reference))
        error = refusal(change, self.conditions, hold) or self._backward(change, repository)
        if error is not None:
            raise error

    def _backward(self, change: Change, repository: Repository) -> Exception | None:
        by, current = self.conditions.forward_only, change.current
        if by is None or current is None or change.is_none:
            return None
        theirs = read_age(repository, current.content, current.media_type, by)
        remembered = self.facts.source_of(str(change.reference), current.digest)
        theirs = _named_by(theirs, Reference.parse(remembered) if remembered else None)
        return goes_back(change, self.conditions, _named_by(self.age, self.source), theirs)


def _named_by(age: Age, source: Reference | None) -> Age:
    """Return the age of an image, with the tag of its source as version if the image names none."""
    if age.versions or source is None or source.tag is None:
        return age
    return msgspec.structs.replace(age, versions=(source.tag,))


OPEN: Final = Gate()
