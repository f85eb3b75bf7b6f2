"""What is done in a run: which pushes, into which tags, on how many workers, at which registry, with which faults."""

import random
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.simulation.decisions import FAULTS, Kind, Swarm
from tests.simulation.images import PLATFORMS, Image, index
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

_OF_SOME: Final = frozenset({"forget push", "make immutable"})
_ANYWHERE: Final = tuple(name for name in FAULTS if name not in _OF_SOME)
_OF_STORMS: Final = (
    "make immutable",
    "kill before",
    "kill after",
    "stop before",
    "stop after",
    "refuse",
    "registry away",
    "foreign write",
    "collect",
    "lose answer",
    "restart redis",
)
SIGNERS: Final = ("alice", "bob", "carol")
# Seeds of the form 4 n + 2, 16 n + 5, and 64 n + 61.
_LATER: Final = 2
_HALVES: Final = 5
_REMATCHES: Final = 61
_OF_REMATCHES: Final = (
    "stop before",
    "stop after",
    "kill after",
    "kill before",
    "foreign write",
    "pause after",
    "collect",
    "lose answer",
)
_OF_HALVES: Final = (
    "make immutable",
    "make immutable",
    "refuse",
    "stop before",
    "stop after",
    "foreign write",
    "collect",
    "lose answer",
    "registry away",
    "end lease",
)


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


def at_random(seed: int | str) -> Scenario:
    """Return the scenario of a seed.

    Every fourth seed is of a family that came later, so that the others keep their meaning.
    """
    chance = random.Random(f"scenario {seed}")
    if isinstance(seed, int) and seed % 4 == _LATER:
        return chance.choice(_FAMILIES)(chance)
    if isinstance(seed, int) and seed % 16 == _HALVES:
        return _half(chance)
    if isinstance(seed, int) and seed % 64 == _REMATCHES:
        return _rematch(chance)
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


def _rematch(chance: random.Random) -> Scenario:
    """Return pushes that meet at one tag, most of them with one image, with more faults, and the undo of one."""
    found = _duel(chance) if chance.random() < 0.7 else _half(chance)
    platforms = None if chance.random() < 0.3 else (PLATFORMS[0],)
    merges = chance.random() < 0.8
    pushes = tuple(
        replace(
            push,
            items=tuple(replace(item, platforms=platforms or item.platforms, merge=merges) for item in push.items),
        )
        for push in found.pushes
    )
    swarm = replace(
        found.swarm,
        on=found.swarm.on | frozenset(chance.sample(_OF_REMATCHES, 3)),
        rate=chance.choice([0.05, 0.1]),
        most=chance.choice([2, 3, 4]),
    )
    undo = chance.choice(pushes).push_id if chance.random() < 0.7 else None
    return replace(found, pushes=pushes, undo=undo, swarm=swarm)


def _signed(chance: random.Random) -> Scenario:
    """Return pushes of images that others signed at A, which meet at the same lists of signatures at B."""
    platforms = tuple(chance.sample(PLATFORMS, 2))
    tags = ["app:latest", "app:1.0"]
    pushes = tuple(
        Push(
            f"p{number + 1}",
            (
                Item(
                    platforms if chance.random() < 0.6 else platforms[:1],
                    "v1",
                    tuple(chance.sample(tags, chance.choice([1, 1, 2]))),
                    signer=signer,
                ),
            ),
            at=chance.choice([0.0, 0.0, 0.1]),
            atomic=chance.choice([None, None, "push"]),
        )
        for number, signer in enumerate(chance.sample(SIGNERS, chance.choice([1, 2, 2])))
    )
    return Scenario(
        flavour=chance.choice((*_FLAVOURS, Flavour.DISTRIBUTION)),
        pushes=pushes,
        held=(("app:latest", (PLATFORMS[3],), "v0"),) if chance.random() < 0.3 else (),
        workers=2,
        slots=chance.choice([1, 2]),
        undo=chance.choice(pushes).push_id if chance.random() < 0.3 else None,
        signed_before=chance.random() < 0.5,
        swarm=Swarm(
            on=frozenset(chance.sample((*_OF_DUELS, "make immutable"), 3)) | {"foreign write"},
            rate=chance.choice([0.0, 0.01, 0.02]),
            most=chance.choice([1, 2, 3]),
            jitter=chance.choice([0.0, 1.0]),
            lease_seconds=LEASE_SECONDS,
            spreads=True,
            kinds=_THIN,
        ),
    )


def _storm(chance: random.Random) -> Scenario:
    """Return releases of several tags that meet, in a storm of faults that lasts for some minutes."""
    tags = ["app:latest", "app:1.0", "app:2.0", "other:latest"]
    pushes = tuple(
        Push(
            f"p{number + 1}",
            tuple(
                Item(
                    _some_platforms(chance), f"v{chance.randint(1, 2)}", tuple(chance.sample(tags[half : half + 2], 2))
                )
                for half in (0, 2)
            ),
            at=chance.choice([0.0, 0.5, 2.0, 30.0]),
            atomic=chance.choice(["push", "push", "item"]),
        )
        for number in range(chance.choice([1, 2, 3]))
    )
    return Scenario(
        flavour=chance.choice((Flavour.QUAY, *_FLAVOURS)),
        pushes=pushes,
        held=tuple((tag, _some_platforms(chance), "v0") for tag in tags if chance.random() < 0.5),
        workers=chance.choice([2, 3]),
        slots=2,
        undo=chance.choice(pushes).push_id if chance.random() < 0.25 else None,
        swarm=Swarm(
            on=frozenset(chance.sample(_OF_STORMS, 4)) | {"kill in flight"},
            rate=chance.choice([0.01, 0.02]),
            most=chance.choice([8, 12]),
            jitter=1.0,
            quiet_after=300.0,
            lease_seconds=LEASE_SECONDS,
            spreads=True,
            kinds=_THIN,
        ),
    )


def _half(chance: random.Random) -> Scenario:
    """Return a release whose worker is killed in its midst, and pushes that come to its tags before it has ended."""
    tags = ("app:latest", "app:1.0")
    same = chance.random() < 0.4
    platforms = [PLATFORMS[0]] * 3 if same else chance.sample(PLATFORMS[:3], 3)
    pushes = tuple(
        Push(
            f"p{number + 1}",
            (Item((platform,), "v1", tags if number == 0 else tuple(chance.sample(tags, chance.choice([1, 2])))),),
            at=0.0 if number == 0 else chance.choice([0.1, 0.3, 1.0, 3.0, 10.0]),
            atomic="push" if number == 0 else chance.choice([None, None, "push"]),
        )
        for number, platform in enumerate(platforms[: chance.choice([2, 2, 3])])
    )
    return Scenario(
        flavour=chance.choice((Flavour.QUAY, *_FLAVOURS)),
        pushes=pushes,
        held=tuple((tag, (PLATFORMS[3],), "v0") for tag in tags if chance.random() < 0.6),
        workers=len(pushes),
        slots=1,
        undo=chance.choice(pushes).push_id if chance.random() < 0.3 else None,
        swarm=Swarm(
            on=frozenset(chance.sample(_OF_HALVES, 2)) | {"kill before", "kill in flight", "kill after"},
            rate=chance.choice([0.02, 0.05]),
            most=chance.choice([2, 3, 6]),
            jitter=chance.choice([0.0, 1.0]),
            quiet_after=300.0,
            lease_seconds=LEASE_SECONDS,
            spreads=True,
            kinds=_THIN,
        ),
    )


def _forgotten(chance: random.Random) -> Scenario:
    """Return pushes of which Redis forgets all while their messages are on the way: clients send them again."""
    tags = ["app:latest", "app:1.0"]
    pushes = tuple(
        Push(
            f"p{number + 1}",
            (Item(_some_platforms(chance), "v1", tuple(chance.sample(tags, chance.choice([1, 2])))),),
            at=chance.choice([0.0, 0.1]),
            atomic=chance.choice([None, None, "push"]),
        )
        for number in range(chance.choice([1, 1, 2]))
    )
    return Scenario(
        flavour=chance.choice(_FLAVOURS),
        pushes=pushes,
        held=(("app:latest", (PLATFORMS[3],), "v0"),) if chance.random() < 0.5 else (),
        workers=2,
        slots=chance.choice([1, 2]),
        swarm=Swarm(
            on=frozenset(
                {"forget push", *chance.sample(("deliver late", "deliver twice", "stop before", "kill after"), 2)}
            ),
            rate=chance.choice([0.01, 0.03]),
            most=chance.choice([1, 2, 3]),
            jitter=1.0,
            lease_seconds=LEASE_SECONDS,
            spreads=True,
        ),
    )


_FAMILIES: Final = (_signed, _signed, _storm, _forgotten)


def is_storm(seed: int) -> bool:
    """Tell whether a seed is of a storm of releases: one of sixteen is."""
    return seed % 4 == _LATER and random.Random(f"scenario {seed}").choice(_FAMILIES) is _storm


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
                on=frozenset(chance.sample(sorted(_ANYWHERE), chance.choice([1, 2, 3, 5]))),
                rate=chance.choice([0.02, 0.05, 0.1]),
                most=chance.choice([1, 1, 2, 3]),
                jitter=jitter,
                lease_seconds=LEASE_SECONDS,
                kinds=_THIN,
            )
    return Swarm(
        on=frozenset(name for name in _ANYWHERE if chance.random() < 0.35),
        rate=chance.choice([0.003, 0.01, 0.02]),
        most=chance.choice([1, 2, 3, 6]),
        jitter=jitter,
        lease_seconds=LEASE_SECONDS,
    )
