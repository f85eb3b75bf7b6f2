"""The intents of one push at one tag, in memory, as the ledger keeps them."""

from dataclasses import dataclass, field

from tasks.errors import ImagePusherError
from tasks.transfer.plan.decide import Current
from tasks.transfer.ports import TagIntent


@dataclass
class MemoryIntents:
    """The log of intents; `needed` are the protective tags that this push needs, `needed_by_others` those of others.

    `known` has what the writer of each note knew. `refusal`, if set, is raised by the next note.
    """

    noted: TagIntent | None = None
    replaced: list[Current] = field(default_factory=list)
    push_id: str = "p"
    needed: set[str] = field(default_factory=set)
    needed_by_others: set[str] = field(default_factory=set)
    refusal: ImagePusherError | None = None
    known: list[TagIntent | None] = field(default_factory=list)

    def read(self) -> TagIntent | None:
        return self.noted

    def note(self, intent: TagIntent, replaced: Current | None, known: TagIntent | None) -> None:
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal
        self.noted = intent
        self.known.append(known)
        if replaced is not None:
            self.replaced.append(replaced)

    def need(self, tag: str) -> bool:
        self.needed.add(tag)
        return self.is_needed_again(tag)

    def give_up(self, tag: str) -> bool:
        self.needed.discard(tag)
        return self.is_needed_again(tag)

    def is_needed_again(self, tag: str) -> bool:
        return tag in self.needed_by_others

    def is_needed(self, tag: str) -> bool:
        return tag in self.needed or self.is_needed_again(tag)

    def ensure_open(self) -> None:
        return

    def ensure_settled(self) -> None:
        return

    def ensure_wanted(self) -> None:
        return
