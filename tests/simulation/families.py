"""The scenarios of seeds: families of runs, each dense in faults of a kind."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from tests.simulation.decisions import FAULTS, Action, Aim, Kind, Swarm, action
from tests.simulation.images import PLATFORMS
from tests.simulation.registry_model import Flavour
from tests.simulation.scenario import SIGNERS, Item, Push, Scenario
from tests.simulation.wiring import LEASE_SECONDS

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
# Seeds of the form 4 n + 2, 16 n + 5, 16 n + 9, and 64 n + 61.
_LATER: Final = 2
_HALVES: Final = 5
_AIMED: Final = 9
_AIMED_ONES: Final = ("foreign", "stalls", "deaths", "broken", "late", "lossy", "halted")
# Half of all fresh seeds are of these: they find the most.
_FRESH: Final = (*_AIMED_ONES, "twice", "halves", "returned", "copies", "broker", "rematch", "signed")
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
_BREAKS: Final = ("stop before", "stop after", "kill before", "kill in flight", "kill after")
_OF_BROKERS: Final = ("deliver twice", "deliver late", "kill before", "kill in flight", "kill after", "stop after")
_OF_COPIES: Final = ("refuse", "refuse", "lose request", "lose answer", "kill before", "kill after", "stop before")
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


def at_random(seed: int | str) -> Scenario:
    """Return the scenario of a seed: a number, or the name of a family and a number, such as `half-17`.

    Every fourth number is of a family that came later, so that the others keep their meaning.
    """
    chance = random.Random(f"scenario {seed}")
    if isinstance(seed, str):
        return FAMILIES[seed.partition("-")[0]](chance)
    if seed % 4 == _LATER:
        return chance.choice(_LATER_ONES)(chance)
    if seed % 16 == _AIMED:
        return FAMILIES[chance.choice(_AIMED_ONES)](chance)
    if seed % 16 == _HALVES:
        return _half(chance)
    if seed % 64 == _REMATCHES:
        return _rematch(chance)
    return _duel(chance) if chance.random() < _DUELS else _anything(chance)


def _anything(chance: random.Random) -> Scenario:
    """Return pushes of all kinds, with faults of many kinds."""
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


def _aimed(chance: random.Random, actions: Sequence[str], most: int, *, releases: float = 0.4) -> Scenario:
    """Return pushes that come to a tag one after the other, with faults at steps where the first one meets others."""
    release = chance.random() < releases
    tags = ("app:latest", "app:1.0") if release else ("app:latest",)
    same = chance.random() < 0.4
    platforms = [PLATFORMS[0]] * 3 if same else chance.sample(PLATFORMS[:3], 3)
    pushes = tuple(
        Push(
            f"p{number + 1}",
            (
                Item(
                    (platform,),
                    "v1",
                    tags if number == 0 else tuple(chance.sample(tags, chance.choice([1, len(tags)]))),
                ),
            ),
            at=0.0 if number == 0 else chance.choice([0.0, 0.1, 0.3, 1.0, 5.0, 20.0]),
            atomic="push" if release and (number == 0 or chance.random() < 0.3) else None,
        )
        for number, platform in enumerate(platforms[: chance.choice([2, 2, 3])])
    )
    return Scenario(
        flavour=chance.choice((Flavour.QUAY, *_FLAVOURS)),
        pushes=pushes,
        held=tuple((tag, (PLATFORMS[3],), "v0") for tag in tags if chance.random() < 0.6),
        workers=len(pushes),
        slots=1,
        undo=chance.choice(pushes).push_id if chance.random() < 0.4 else None,
        swarm=Swarm(
            jitter=chance.choice([0.0, 1.0]),
            lease_seconds=LEASE_SECONDS,
            spreads=True,
            aims=tuple(_aim(chance, pushes, chance.choice(actions)) for _ in range(chance.randint(1, most))),
        ),
    )


def _aim(chance: random.Random, pushes: Sequence[Push], name: str) -> Aim:
    """Return a fault at a step of a push, most often of the first one, and half of the time at a write of a tag."""
    chosen = pushes[0] if chance.random() < 0.7 else chance.choice(pushes)
    at_write = chance.random() < 0.5
    # A tag is moved in some thirty of such steps, and two that move together in some ninety.
    steps = 90 if chosen.atomic else 32 * len(chosen.items[0].tags)
    number = chance.randint(1, 4) if at_write else chance.randint(1, steps)
    return Aim(chosen.push_id, number, action(name, chance.random(), LEASE_SECONDS), at_write)


def _copies(chance: random.Random) -> Scenario:
    """Return pushes whose copies meet the collector of the destination, or another fault, at their writes."""
    found = _anything(chance)
    names = ["collect", *(chance.choice(_OF_COPIES) for _ in range(chance.randint(0, 2)))]
    aims = tuple(
        Aim(f"copies of {push.push_id}", chance.randint(1, 15), action(name, chance.random(), LEASE_SECONDS))
        for name in names
        for push in (chance.choice(found.pushes),)
    )
    return replace(found, swarm=Swarm(jitter=found.swarm.jitter, lease_seconds=LEASE_SECONDS, aims=aims))


def _broker(chance: random.Random) -> Scenario:
    """Return pushes whose messages, chords and workers are lost on their way between the steps."""
    swarm = Swarm(
        on=frozenset({"drop chord", *chance.sample(_OF_BROKERS, chance.randint(1, 3))}),
        rate=chance.choice([0.05, 0.1, 0.2]),
        most=chance.choice([1, 2, 4]),
        jitter=chance.choice([0.0, 1.0]),
        lease_seconds=LEASE_SECONDS,
        kinds=frozenset({Kind.BROKER, Kind.TAKE}),
    )
    return replace(_anything(chance), swarm=swarm)


def _returned(chance: random.Random) -> Scenario:
    """Return a release that someone else's write sends back, while its worker stands still or dies."""
    found = _aimed(chance, actions=_BREAKS, most=1, releases=1.0)
    sent_back = Aim("p1", chance.randint(40, 70), action("foreign write", chance.random(), LEASE_SECONDS))
    broken = action(chance.choice(_BREAKS), chance.random(), LEASE_SECONDS)
    aims = (sent_back, Aim("p1", chance.randint(5, 45), broken, follows=True))
    undo = "p1" if chance.random() < 0.6 else None
    flavour = chance.choice((Flavour.QUAY, Flavour.ZOT))
    return replace(found, flavour=flavour, undo=undo, swarm=replace(found.swarm, jitter=0.0, aims=aims))


def _twice(chance: random.Random) -> Scenario:
    """Return a push that stands still until another delivery of it, and another push, have done their work, or dies."""
    found = _aimed(chance, actions=_BREAKS, most=1, releases=0.0)
    first = Aim("p1", chance.randint(7, 30), _long_break(chance))
    aims = (first,) if chance.random() < 0.8 else (first, *found.swarm.aims)
    held = found.held or ((found.tags[0], (PLATFORMS[3],), "v0"),) if chance.random() < 0.7 else ()
    return replace(found, held=held, swarm=replace(found.swarm, jitter=0.0, aims=aims))


def _halves(chance: random.Random) -> Scenario:
    """Return a release of which half is moved when its worker stands still or dies, and whose next delivery fails."""
    found = _aimed(chance, actions=_BREAKS, most=1, releases=1.0)
    halved = Aim("p1", chance.randint(36, 78), _long_break(chance))
    name = chance.choice(("make immutable", "make immutable", "foreign write"))
    failing = Aim("p1", chance.randint(5, 60), action(name, chance.random(), LEASE_SECONDS), follows=True)
    pushes = (found.pushes[0], *(replace(push, atomic=None) for push in found.pushes[1:]))
    return replace(found, pushes=pushes, swarm=replace(found.swarm, jitter=0.0, aims=(halved, failing)))


def _long_break(chance: random.Random) -> Action:
    """Return a stop that is longer than the watchdog waits, or a kill."""
    name = chance.choice(("stop before", "stop before", "stop after", "kill before", "kill after"))
    return action(name, chance.uniform(0.7, 1.0), LEASE_SECONDS)


def _late(chance: random.Random) -> Scenario:
    """Return pushes of which the first one stands still, or dies, at the write of a tag, and others come meanwhile."""
    found = _aimed(chance, actions=("collect", "foreign write", *_BREAKS), most=1, releases=0.2)
    if chance.random() < 0.5:
        # The registry drops what a late write replaces: no protective tag keeps it.
        found = replace(found, flavour=Flavour.QUAY, held=())
    stands = chance.choice(("stop before", "stop before", "stop after", "kill in flight"))
    fault = action(stands, chance.random(), LEASE_SECONDS)
    first = Aim("p1", chance.randint(1, 2 * len(found.tags) if found.held else len(found.tags)), fault, at_write=True)
    aims = (first,) if chance.random() < 0.6 else (first, *found.swarm.aims)
    return replace(found, swarm=replace(found.swarm, aims=aims))


_LATER_ONES: Final = (_signed, _signed, _storm, _forgotten)


def fresh(number: int) -> int | str:
    """Return the seed of a search for what nobody has tried: by turns a number, and one of a family."""
    return number if number % 2 else f"{_FRESH[number // 2 % len(_FRESH)]}-{number}"


def is_storm(seed: int | str) -> bool:
    """Tell whether a seed is of a storm of releases: one number of sixteen is."""
    if isinstance(seed, str):
        return FAMILIES[seed.partition("-")[0]] is _storm
    return seed % 4 == _LATER and random.Random(f"scenario {seed}").choice(_LATER_ONES) is _storm


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


FAMILIES: Final[Mapping[str, Callable[[random.Random], Scenario]]] = {
    "anything": _anything,
    "duel": _duel,
    "rematch": _rematch,
    "half": _half,
    "signed": _signed,
    "forgotten": _forgotten,
    "storm": _storm,
    "foreign": partial(_aimed, actions=("foreign write", "foreign write", "collect"), most=2),
    "stalls": partial(_aimed, actions=("stop before", "stop before", "stop after"), most=2),
    "deaths": partial(_aimed, actions=("kill before", "kill in flight", "kill after"), most=2),
    "broken": partial(_aimed, actions=_BREAKS, most=3),
    "late": _late,
    "returned": _returned,
    "twice": _twice,
    "halves": _halves,
    "copies": _copies,
    "broker": _broker,
    "lossy": partial(_aimed, actions=("lose answer", "lose request", "refuse", "end lease", "collect"), most=3),
    "halted": partial(_aimed, actions=(*_BREAKS, "make immutable", "make immutable"), most=3, releases=1.0),
}
