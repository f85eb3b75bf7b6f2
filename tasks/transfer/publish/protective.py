"""The protective tags beside one tag: their names, who needs them, and their end (BEHAVIOUR 4.8)."""

import logging
from collections.abc import Iterable, Mapping
from typing import Final, Literal, Protocol

import msgspec

from tasks.errors import RegistryError, TagConflict
from tasks.oci.digest import Digest, parse_digest
from tasks.oci.reference import Reference
from tasks.registry.repository import Repository
from tasks.transfer.after.sharing import deleting
from tasks.transfer.plan.decide import protective_tags
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.memory import Memory

LOG: Final = logging.getLogger(__name__)


class Needs(Protocol):
    """The needs of pushes for the protective tags beside one tag, as the ledger keeps them."""

    def need(self, tag: str) -> bool:
        """Note that the push needs a protective tag beside the tag, and tell whether another push needs it too."""
        ...

    def give_up(self, tag: str) -> bool:
        """Note that the push needs a protective tag no longer, and tell whether another push needs it."""
        ...

    def is_shared(self, tag: str) -> bool:
        """Tell whether another push needs a protective tag."""
        ...


class ProtectiveTags:
    """The protective tags that a push makes beside one tag, whose lock is held while they are noted or deleted."""

    def __init__(self, repository: Repository, reference: Reference, needs: Needs) -> None:
        self._repository = repository
        self._reference = reference
        self._needs = needs

    def of_merge(self, intent: TagIntent, memory: Memory) -> TagIntent:
        """Return the intent with a protective tag for a merged index, to be written before the tag."""
        if intent.action != "merged":
            return intent
        digest = parse_digest(intent.new_digest)
        name, is_there = self._free_name(digest, "merged")
        is_shared = self._needs.need(name)
        # One that is there, and that no push needs, was made by someone else.
        mine = not is_there or is_shared or memory.made_protection(intent.new_digest)
        return msgspec.structs.replace(intent, protective_tag=name, protective_tag_created=mine)

    def of_replaced(self, digest: Digest) -> str:
        """Return the name of a tag for the replaced manifest."""
        name, _ = self._free_name(digest, "replaced")
        self._needs.need(name)
        return name

    def give_up(self, tags: Iterable[str]) -> None:
        """Note that the push needs the tags no longer."""
        for tag in tags:
            self._needs.give_up(tag)

    def delete(self, tags: Iterable[str]) -> list[str]:
        """Delete the tags that no other push needs, and return those of them that stay."""
        return [tag for tag in tags if not self._needs.give_up(tag) and not self._is_deleted(tag)]

    def left(self, made: Mapping[str, str]) -> str | None:
        """Return the name of a tag that is still there with the digest that it was given, None if there is none."""
        for tag, digest in made.items():
            try:
                described = self._repository.resolve(tag)
            except RegistryError:
                return tag
            if described is not None and described.digest == digest:
                return tag
        return None

    def _is_deleted(self, tag: str) -> bool:
        try:
            with deleting(self._repository, tag, lambda: self._needs.is_shared(tag)):
                return self._repository.delete_tag(tag)
        except RegistryError as error:
            LOG.warning("%s: %s was not deleted: %s", self._reference, tag, error)
            return False

    def _free_name(self, digest: Digest, mark: Literal["merged", "replaced"]) -> tuple[str, bool]:
        """Return a free name of a protective tag, or the one that holds the manifest, and whether that tag is there."""
        for name in protective_tags(self._reference.identifier, digest, mark):
            described = self._repository.resolve(name)
            if described is None or described.digest == digest:
                return name, described is not None
        raise TagConflict(f"Every name of a protective tag for {self._reference} is taken by something else.")
