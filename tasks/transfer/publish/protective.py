"""The tags that keep manifests beside a tag: merged indexes, and replaced manifests (BEHAVIOUR 4.8, 6.6)."""

import logging
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from tasks.errors import RegistryError, TagConflict
from tasks.oci.digest import Digest
from tasks.oci.reference import Reference
from tasks.registry.repository import Repository
from tasks.transfer.plan.decide import Current, protective_tags
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.intent_log import IntentLog
from tasks.transfer.publish.intent_memory import Memory
from tasks.transfer.undo.sharing import deleting

LOG: Final = logging.getLogger(__name__)


class ProtectiveTags:
    """The protective tags beside one tag; with `keep_replaced`, each replaced manifest gets one, too.

    Pushes that merge the same images share a tag. It is written and deleted under the lock of the tag beside it.
    """

    def __init__(
        self, repository: Repository, reference: Reference, intents: IntentLog, *, keep_replaced: bool
    ) -> None:
        self._repository = repository
        self._reference = reference
        self._intents = intents
        self._keep_replaced = keep_replaced
        self._begun: dict[str, Digest] = {}

    def planned(self, intent: TagIntent, memory: Memory) -> tuple[TagIntent, bool]:
        """Return the intent with a protective tag for a merged index, and whether that tag is there (BEHAVIOUR 4.8).

        One that is not there is to be written before the tag.
        """
        if intent.action != "merged":
            return intent, False
        name, is_there = self._free_name(intent.new_digest, "merged")
        is_shared = self._intents.need(name)
        # One that is there, and that no push needs, was made by someone else.
        mine = not is_there or is_shared or memory.made_protection(intent.new_digest)
        if not is_there:
            self._begun[name] = intent.new_digest
        return msgspec.structs.replace(intent, protective_tag=name, protective_tag_created=mine), is_there

    def name_for_replaced(self, base: Current | None, memory: Memory) -> str | None:
        """Return the name of a tag for the replaced manifest, if the target wants such a tag."""
        if not self._keep_replaced or base is None or not base.content or memory.own(base.digest) is not None:
            return None
        if self._reference.digest is not None:
            return None
        name, _ = self._free_name(base.digest, "replaced")
        self._intents.need(name)
        self._begun[name] = base.digest
        return name

    def give_up(self, tags: Iterable[str]) -> list[str]:
        """Need tags no longer; return the names of those that no other push needs."""
        return [tag for tag in tags if not self._intents.give_up(tag)]

    def delete(self, tags: Iterable[str]) -> list[str]:
        """Delete the tags that no other push needs; return the names of those that stay though nobody needs them."""
        return [tag for tag in self.give_up(tags) if not self._is_deleted(tag)]

    def delete_late(self) -> None:
        """Delete what this delivery wrote after another one had ended the push, if no push needs it."""
        held = {tag for tag, digest in self._begun.items() if self._repository.digest_at(tag) == digest}
        for tag in held:
            if not self._intents.is_needed(tag):
                self.delete([tag])

    def first_left(self, tags: Mapping[str, Digest]) -> str | None:
        """Return the name of a tag that still holds its digest, or cannot be looked at; None if all are gone."""
        for tag, digest in tags.items():
            try:
                held = self._repository.digest_at(tag)
            except RegistryError:
                return tag
            if held == digest:
                return tag
        return None

    def _is_deleted(self, tag: str) -> bool:
        try:
            with deleting(self._repository, tag, lambda: self._intents.is_needed_again(tag)):
                return self._repository.delete_tag(tag)
        except RegistryError as error:
            LOG.warning("%s: %s was not deleted: %s", self._reference, tag, error)
            return False

    def _free_name(self, digest: Digest, mark: Literal["merged", "replaced"]) -> tuple[str, bool]:
        """Return a free name of a protective tag, or the one that holds the manifest, and whether that tag is there."""
        for name in protective_tags(self._reference.identifier, digest, mark):
            held = self._repository.digest_at(name)
            if held in {None, digest}:
                return name, held is not None
        raise TagConflict(f"Every name of a protective tag for {self._reference} is taken by something else.")
