"""A tag that an undo deals with: the change that the push made, and the hold that an operator put on it."""

from collections.abc import Callable

import msgspec

from tasks import contract
from tasks.errors import NotDeletable
from tasks.oci.digest import Digest
from tasks.oci.reference import Reference
from tasks.transfer.plan.conditions import held
from tasks.transfer.ports import TagIntent

HoldOf = Callable[[str], contract.Hold | None]


def nobody_holds(_: str) -> None:
    """Return None: no operator froze the tag."""


def ensure_free(reference: str, hold_of: HoldOf) -> None:
    """Raise TagHeld if an operator froze the tag."""
    hold = hold_of(reference)
    if hold is not None:
        raise held(hold)


def undeletable(reference: Reference, words: str = "") -> NotDeletable:
    """Return the error of a new tag whose registry deletes nothing; `words` are the registry's own."""
    said = f" ({words.rstrip('.')})" if words else ""
    return NotDeletable(f"{reference} is new, and its registry deletes neither tags nor manifests{said}.")


class Mark(msgspec.Struct, frozen=True):
    """A tag, and the change that the push made to it."""

    reference: Reference
    intent: TagIntent
    protects: Reference | None = None
    """The tag for which a protective tag was made."""

    @property
    def locked(self) -> str:
        """The full name of the tag whose lock is held while this one is changed."""
        return str(self.protects or self.reference)

    def beside(self, tag: str, digest: Digest) -> "Mark":
        """Return the mark of another tag that the push made in the same repository."""
        reference = Reference(self.reference.registry, self.reference.repository, tag)
        return Mark(reference, TagIntent(action="copied", old_digest=None, new_digest=digest))

    @property
    def ours(self) -> set[str | None]:
        """The digests that the tag may hold if nobody else moved it, None for an absent tag."""
        return {
            self.intent.old_digest,
            self.intent.new_digest or None,
            self.intent.written_before or self.intent.old_digest,
        }

    def protective(self) -> list["Mark"]:
        """Return the protective tags that were written along with this tag: they were new."""
        return [
            Mark(
                Reference(self.reference.registry, self.reference.repository, tag),
                TagIntent(action="merged", old_digest=None, new_digest=digest),
                protects=self.reference,
            )
            for tag, digest in self.intent.beside().items()
        ]
