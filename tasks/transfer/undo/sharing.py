"""Protective tags that several pushes need: pushes that merge the same images into a tag write one (BEHAVIOUR 4.8)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from tasks.errors import NotFound
from tasks.registry.repository import Repository
from tasks.transfer.ports import Protections


class _NoRecord:
    """The needs of pushes that nobody notes."""

    def note_need(self, reference: str, push_id: str) -> None: ...

    def drop_need(self, reference: str, push_id: str) -> None: ...

    def needs(self, reference: str) -> set[str]:
        del reference
        return set()


class Sharing(msgspec.Struct, frozen=True):
    """The protective tags that one push needs, by their full names.

    Whoever notes or drops a need holds the lock of the tag for which the protective tag was made.
    """

    needs: Protections
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
        return bool(self.needs.needs(reference) - {self.push_id})


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
