"""Protective tags that several pushes need: pushes that merge the same images into a tag write one (BEHAVIOUR 4.8)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec

from tasks import contract
from tasks.errors import NotFound
from tasks.registry.repository import Repository
from tasks.transfer.ports import Protections, TagIntent


class NeedRecords(Protections, Protocol):
    """The needs of pushes, and by what an ended push is known to need nothing any more."""

    def report(self, push_id: str) -> contract.PushReport | None:
        """Return the report of a push, None before its end."""
        ...

    def intents(self, push_id: str) -> dict[str, TagIntent]:
        """Return the last intent of a push at each tag."""
        ...


class _NoRecord:
    """The needs of pushes that nobody notes."""

    def note_need(self, reference: str, push_id: str) -> None: ...

    def drop_need(self, reference: str, push_id: str) -> None: ...

    def needs(self, reference: str) -> set[str]:
        del reference
        return set()

    def report(self, push_id: str) -> None:
        del push_id

    def intents(self, push_id: str) -> dict[str, TagIntent]:
        del push_id
        return {}


class Sharing(msgspec.Struct, frozen=True):
    """The protective tags that one push needs, by their full names.

    Whoever notes or drops a need holds the lock of the tag for which the protective tag was made.
    """

    needs: NeedRecords
    push_id: str

    def need(self, reference: str) -> bool:
        """Note that the push needs a protective tag, and tell whether another push needs it too."""
        self.needs.note_need(reference, self.push_id)
        return self.is_shared(reference)

    def give_up(self, reference: str) -> bool:
        """Note that the push needs a protective tag no longer, and tell whether another push needs it."""
        self.needs.drop_need(reference, self.push_id)
        return self.is_shared(reference)

    def is_shared(self, reference: str) -> bool:
        """Tell whether another push needs a protective tag."""
        others = self.needs.needs(reference) - {self.push_id}
        return any(self._still_needs(push_id, reference) for push_id in others)

    def _still_needs(self, push_id: str, reference: str) -> bool:
        """Tell whether a push is under way, or made a tag what the protective tag holds.

        A delivery that stood still may note a need after its push has ended.
        """
        if self.needs.report(push_id) is None:
            return True
        repository, _, tag = reference.rpartition(":")
        intents = self.needs.intents(push_id).items()
        ours = (each for name, each in intents if each.changes and name.rpartition(":")[0] == repository)
        return any(tag == each.protective_tag or tag in each.overtaken for each in ours)


ALONE = Sharing(_NoRecord(), "")


@contextmanager
def deleting(repository: Repository, tag: str, is_shared: Callable[[], bool]) -> Iterator[None]:
    """Write a protective tag again if another push began to need it while it was being deleted.

    The process may stand still in between, for longer than the lease of its lock.
    """
    try:
        kept = repository.fetch_manifest(tag)
    except NotFound:
        kept = None
    yield
    if kept is not None and is_shared():
        repository.push_manifest(tag, kept.content, kept.media_type)
