"""What is done in a run: which pushes, into which tags, on how many workers, at which registry, with which faults."""

from dataclasses import dataclass, field
from typing import Any, Final

from tests.simulation.decisions import Swarm
from tests.simulation.images import Image, index
from tests.simulation.registry_model import Flavour

A: Final = "a.example"
B: Final = "b.example"
_SOURCE: Final = "src"
SIGNERS: Final = ("alice", "bob", "carol")


@dataclass(frozen=True)
class Item:
    """One source index, by its platforms and version, and the tags that it goes to, as `repository:tag`.

    A `signer` refers to the index, and to the image of its first platform, in both schemes (`SIGNED`).
    """

    platforms: tuple[str, ...]
    version: str
    tags: tuple[str, ...]
    merge: bool = True
    signer: str = ""

    @property
    def source(self) -> str:
        """The tag at A that holds it."""
        return f"{'-'.join(each.partition('/')[2] for each in self.platforms)}.{self.version}"

    @property
    def repository(self) -> str:
        """The repository at A that holds it: each signer has one of its own."""
        return f"{_SOURCE}-{self.signer}" if self.signer else _SOURCE

    @property
    def signed(self) -> tuple[Image, ...]:
        """What its signer refers to: the index, and the image of the first platform."""
        found = index(self.platforms, self.version)
        return (found, found.members[0]) if self.signer else ()


@dataclass(frozen=True)
class Push:
    """One push: when it is sent, and whether by a client that notes it in the ledger."""

    push_id: str
    items: tuple[Item, ...]
    at: float
    announced: bool = True
    atomic: str | None = None

    def request(self) -> dict[str, Any]:
        """Return the request as a producer writes it."""
        items = []
        for item in self.items:
            destinations: dict[str, list[str]] = {}
            for tag in item.tags:
                repository, _, name = tag.partition(":")
                destinations.setdefault(f"{B}/{repository}", []).append(name)
            source = f"{A}/{item.repository}:{item.source}"
            items.append({"source": source, "destinations": destinations, "merge": item.merge})
        request: dict[str, Any] = {"push_id": self.push_id, "items": items}
        return request | ({} if self.atomic is None else {"atomic": self.atomic})


@dataclass(frozen=True)
class Scenario:
    """All of a run but its choices: `held` is what tags of B hold before, by platforms and version."""

    flavour: Flavour
    pushes: tuple[Push, ...]
    held: tuple[tuple[str, tuple[str, ...], str], ...] = ()
    workers: int = 2
    slots: int = 2
    lax: bool = False
    budgets: bool = False
    undo: str | None = None
    signed_before: bool = False
    """Whether someone else has signed at B what is pushed there, in the fallback index and under cosign's tag."""
    swarm: Swarm = field(default_factory=Swarm)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that pushes may move."""
        return tuple(dict.fromkeys(tag for push in self.pushes for item in push.items for tag in item.tags))

    def __str__(self) -> str:
        pushes = "; ".join(
            f"{push.push_id} at {push.at:g} s: "
            + ", ".join(
                f"{item.source}{f' signed by {item.signer}' if item.signer else ''} → {' '.join(item.tags)}"
                f"{'' if item.merge else ' (no merge)'}"
                for item in push.items
            )
            for push in self.pushes
        )
        held = ", ".join(
            f"{tag} = {'-'.join(p.partition('/')[2] for p in platforms)}.{v}" for tag, platforms, v in self.held
        )
        undone = f", undo of {self.undo}" if self.undo else ""
        held = ", ".join(filter(None, (held, "signatures of someone else" if self.signed_before else "")))
        return (
            f"{self.flavour.value}{' (lax)' if self.lax else ''}, {self.workers} workers of {self.slots} slots;"
            f" before: {held or 'nothing'}; {pushes}{undone}"
        )
