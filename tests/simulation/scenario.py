"""What is done in a run: which pushes, into which tags, on how many workers, at which registry, with which faults."""

import random
from dataclasses import dataclass, field
from typing import Any, Final

from tests.simulation.decisions import FAULTS, Kind, Swarm
from tests.simulation.images import PLATFORMS
from tests.simulation.registry_model import Flavour
from tests.simulation.wiring import LEASE_SECONDS

A: Final = "a.example"
B: Final = "b.example"
_SOURCE: Final = "src"
_FLAVOURS: Final = tuple(Flavour)
_THIN: Final = frozenset({Kind.MOVE, Kind.PUT, Kind.LOCK, Kind.EVENT})
_DUELS: Final = 0.4
_OF_DUELS: Final = (
    "stop before",
    "stop after",
    "pause before",
    "pause after",
    "kill before",
    "kill in flight",
    "kill after",
    "lose answer",
    "foreign write",
    "end lease",
    "collect",
)


@dataclass(frozen=True)
class Item:
    """One source index, by its platforms and version, and the tags that it goes to, as `repository:tag`."""

    platforms: tuple[str, ...]
    version: str
    tags: tuple[str, ...]
    merge: bool = True

    @property
    def source(self) -> str:
        """The tag at A that holds it."""
        return f"{'-'.join(each.partition('/')[2] for each in self.platforms)}.{self.version}"


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
            items.append({"source": f"{A}/{_SOURCE}:{item.source}", "destinations": destinations, "merge": item.merge})
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
    swarm: Swarm = field(default_factory=Swarm)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that pushes may move."""
        return tuple(dict.fromkeys(tag for push in self.pushes for item in push.items for tag in item.tags))

    def __str__(self) -> str:
        pushes = "; ".join(
            f"{push.push_id} at {push.at:g} s: "
            + ", ".join(
                f"{item.source} → {' '.join(item.tags)}{'' if item.merge else ' (no merge)'}" for item in push.items
            )
            for push in self.pushes
        )
        held = ", ".join(
            f"{tag} = {'-'.join(p.partition('/')[2] for p in platforms)}.{v}" for tag, platforms, v in self.held
        )
        undone = f", undo of {self.undo}" if self.undo else ""
        return (
            f"{self.flavour.value}{' (lax)' if self.lax else ''}, {self.workers} workers of {self.slots} slots;"
            f" before: {held or 'nothing'}; {pushes}{undone}"
        )


def at_random(seed: int | str) -> Scenario:
    """Return the scenario of a seed."""
    chance = random.Random(f"scenario {seed}")
    if chance.random() < _DUELS:
        return _duel(chance)
    tags = chance.sample(["app:latest", "app:1.0", "other:latest"], chance.choice([1, 1, 2, 3]))
    pushes = tuple(_push(chance, number + 1, tags) for number in range(chance.choice([1, 2, 2, 2, 3, 4])))
    held = tuple((tag, _some_platforms(chance), "v0") for tag in tags if chance.random() < 0.5)
    return Scenario(
        flavour=chance.choice(_FLAVOURS),
        pushes=pushes,
        held=held,
        workers=chance.choice([1, 2, 2, 3]),
        slots=chance.choice([1, 2, 4]),
        lax=chance.random() < 0.2,
        budgets=chance.random() < 0.1,
        undo=chance.choice(pushes).push_id if chance.random() < 0.25 else None,
        swarm=_swarm(chance),
    )


def _duel(chance: random.Random) -> Scenario:
    """Return pushes that meet at one tag, each on a worker of its own, with a fault or two where it moves."""
    tag = "app:latest"
    several = chance.random() < 0.8
    platforms = chance.sample(PLATFORMS, 3) if several else [PLATFORMS[0]] * 3
    atomic = chance.choice([None, None, "push"])
    pushes = tuple(
        Push(f"p{number + 1}", (Item((platform,), "v1", (tag,)),), at=chance.choice([0.0, 0.1, 0.3]), atomic=atomic)
        for number, platform in enumerate(platforms[: chance.choice([2, 2, 3])])
    )
    return Scenario(
        flavour=chance.choice(_FLAVOURS),
        pushes=pushes,
        held=((tag, (PLATFORMS[3],), "v0"),) if chance.random() < 0.5 else (),
        workers=len(pushes),
        slots=1,
        undo=chance.choice(pushes).push_id if chance.random() < 0.25 else None,
        swarm=Swarm(
            on=frozenset(chance.sample(_OF_DUELS, 2)) | ({"stop before"} if chance.random() < 0.5 else set()),
            rate=chance.choice([0.03, 0.06]),
            most=chance.choice([1, 1, 2]),
            jitter=chance.choice([0.0, 1.0]),
            lease_seconds=LEASE_SECONDS,
            spreads=True,
            kinds=_THIN,
        ),
    )


def _push(chance: random.Random, number: int, tags: list[str]) -> Push:
    left = list(tags)
    items = []
    for _ in range(chance.choice([1, 1, 1, 2])):
        chosen = chance.sample(left, chance.randint(1, len(left))) if left else []
        left = [tag for tag in left if tag not in chosen]
        if chosen:
            platforms = _some_platforms(chance)
            items.append(Item(platforms, f"v{chance.randint(1, 2)}", tuple(chosen), merge=chance.random() > 0.1))
    return Push(
        f"p{number}",
        tuple(items),
        at=chance.choice([0.0, 0.0, 0.1, 0.5, 2.0]),
        announced=chance.random() < 0.7,
        atomic=chance.choice([None, None, None, "item", "push"]),
    )


def _some_platforms(chance: random.Random) -> tuple[str, ...]:
    return tuple(sorted(chance.sample(PLATFORMS, chance.choice([1, 1, 2, 3]))))


def _swarm(chance: random.Random) -> Swarm:
    """Return which faults are on: none, many kinds anywhere, or a few kinds where tags move."""
    jitter = chance.choice([0.0, 1.0, 1.0, 4.0])
    match chance.choice(["none", *["anywhere"] * 5, *["thin"] * 5]):
        case "none":
            return Swarm(jitter=jitter, lease_seconds=LEASE_SECONDS)
        case "thin":
            return Swarm(
                on=frozenset(chance.sample(sorted(FAULTS), chance.choice([1, 2, 3, 5]))),
                rate=chance.choice([0.02, 0.05, 0.1]),
                most=chance.choice([1, 1, 2, 3]),
                jitter=jitter,
                lease_seconds=LEASE_SECONDS,
                kinds=_THIN,
            )
    return Swarm(
        on=frozenset(name for name in FAULTS if chance.random() < 0.35),
        rate=chance.choice([0.003, 0.01, 0.02]),
        most=chance.choice([1, 2, 3, 6]),
        jitter=jitter,
        lease_seconds=LEASE_SECONDS,
    )
