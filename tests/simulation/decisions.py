"""The choices of a run: for each step by its name, so that one choice less changes no other.

A choice is a pure function of the seed and the step's name. A run that is shrunk keeps only some of its faults, by
name.
"""

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

_MOST: Final = float(1 << 32)


class Kind(enum.Enum):
    """What a step asks: of which faults there are, and how long it takes. MOVE and PUT are of a tag that moves."""

    READ = "read"
    WRITE = "write"
    MOVE = "move"
    PUT = "put"
    REDIS = "redis"
    LOCK = "lock"
    BROKER = "broker"
    TAKE = "take"
    EVENT = "event"


@dataclass(slots=True)
class Step:
    """One call to the outside; `subject` is the tag or key that it is about."""

    name: str
    kind: Kind
    what: str
    subject: str
    fallible: bool
    now: float


@dataclass(frozen=True, slots=True)
class Action:
    """A fault: what happens at a step, and for how many seconds."""

    name: str
    seconds: float = 0.0
    status: int = 0
    retry_after: float | None = None
    choice: int = 0

    def __str__(self) -> str:
        more = f" for {self.seconds:.1f} s" if self.seconds else ""
        status = f" with {self.status}" if self.status else ""
        asked = f", Retry-After {self.retry_after:g}" if self.retry_after is not None else ""
        return f"{self.name}{more}{status}{asked}"


REGISTRY: Final = frozenset({Kind.READ, Kind.WRITE, Kind.MOVE, Kind.PUT})
_ANY: Final = frozenset(Kind)
_MEETING: Final = frozenset({Kind.MOVE, Kind.PUT, Kind.LOCK, Kind.REDIS, Kind.EVENT})
_STATE: Final = frozenset({Kind.REDIS, Kind.LOCK, Kind.BROKER, Kind.EVENT, Kind.TAKE})
# Which faults may happen at which steps, and how often beside each other.
FAULTS: Final[Mapping[str, tuple[frozenset[Kind], int]]] = {
    "pause before": (_ANY, 4),
    "pause after": (_ANY, 4),
    "stop before": (_ANY, 5),
    "stop after": (_ANY, 5),
    "kill before": (_ANY, 2),
    "kill in flight": (_ANY - {Kind.TAKE}, 3),
    "kill after": (_ANY, 3),
    "lose answer": (_ANY - {Kind.TAKE}, 3),
    "lose request": (REGISTRY, 1),
    "refuse": (REGISTRY, 3),
    "registry away": (REGISTRY, 1),
    "foreign write": (REGISTRY, 4),
    "collect": (REGISTRY, 3),
    "end lease": (REGISTRY | {Kind.LOCK, Kind.REDIS}, 3),
    "restart redis": (_STATE, 2),
    "restart redis without its last second": (_STATE, 2),
    "evict": (_STATE, 2),
    "deliver twice": (frozenset({Kind.BROKER}), 6),
    "deliver late": (frozenset({Kind.BROKER}), 4),
    "drop chord": (frozenset({Kind.BROKER}), 2),
    "forget push": (_STATE, 4),
    "make immutable": (frozenset({Kind.MOVE, Kind.PUT}), 4),
}
# Where the protocol is thin, faults are more frequent.
_WEIGHT: Final[Mapping[Kind, float]] = {Kind.PUT: 10.0, Kind.MOVE: 3.0, Kind.LOCK: 2.0, Kind.EVENT: 2.0}
_LATENCY: Final[Mapping[Kind, tuple[float, float]]] = {
    Kind.READ: (0.010, 0.005),
    Kind.WRITE: (0.020, 0.005),
    Kind.MOVE: (0.020, 0.010),
    Kind.PUT: (0.020, 0.010),
    Kind.REDIS: (0.0005, 0.0003),
    Kind.LOCK: (0.0005, 0.0003),
    Kind.BROKER: (0.001, 0.0005),
    Kind.TAKE: (0.002, 0.001),
    Kind.EVENT: (0.002, 0.001),
}


def pushed_at(step: Step) -> str | None:
    """Return the push that publishes by a step at which it meets others, None for any other step.

    Of the looks at a lock that others hold the first one counts. The writes of its copies are `copies of` the push.
    """
    _, copying, copy = step.name.partition("/copy ")
    if copying and step.fallible and step.kind is Kind.WRITE:
        return f"copies of {copy.partition('@')[0]}"
    if not step.fallible or step.kind not in _MEETING or "/publish " not in step.name:
        return None
    if step.what.startswith("SET tag:") and not step.name.endswith(" 1"):
        return None
    return step.name.partition("/publish ")[2].partition(" ")[0].partition("/")[0].partition("#")[0]


def draw(seed: int | str, name: str) -> tuple[float, float, float]:
    """Return three numbers of [0, 1) that belong to a seed and a name."""
    found = blake2b(f"{seed}|{name}".encode(), digest_size=12).digest()
    return (
        int.from_bytes(found[:4], "big") / _MOST,
        int.from_bytes(found[4:8], "big") / _MOST,
        int.from_bytes(found[8:], "big") / _MOST,
    )


@dataclass(frozen=True)
class Aim:
    """A fault at a step of those at which the deliveries of a push meet others, or of its writes of tags.

    It happens at the first such step from `number` on at which there is such a fault. If it `follows`, the steps are
    counted from the aim before it.
    """

    push_id: str
    number: int
    action: Action
    at_write: bool = False
    follows: bool = False


@dataclass(frozen=True)
class Swarm:
    """The faults that are on in a run, how probable one is at a step, how many there are, and how even steps are."""

    on: frozenset[str] = frozenset()
    rate: float = 0.0
    most: int = 0
    jitter: float = 1.0
    quiet_after: float = 900.0
    lease_seconds: float = 15.0
    spreads: bool = False
    """Whether work goes to the worker with the most free slots, so that pushes meet on different ones."""
    kinds: frozenset[Kind] = _ANY
    """The kinds of steps at which faults happen."""
    aims: tuple[Aim, ...] = ()
    """Faults at certain steps, beside those by chance."""


@dataclass
class Decisions:
    """The decisions of one run: by aim and by chance, or as `script` says for each step by its name."""

    seed: int | str
    swarm: Swarm
    script: Mapping[str, Action] | None = None
    taken: dict[str, Action] = field(default_factory=dict)
    _met: Counter[tuple[str, bool]] = field(default_factory=Counter)
    _spent: dict[int, int] = field(default_factory=dict)

    def decide(self, step: Step) -> Action | None:
        """Return the fault that happens at a step, None for none."""
        if self.script is not None:
            action = self.script.get(step.name)
        elif self.swarm.aims and (aimed := self._by_aim(step)) is not None:
            action = aimed
        elif len(self.taken) >= self.swarm.most or step.now > self.swarm.quiet_after or not step.fallible:
            return None
        else:
            action = self._by_chance(step)
        if action is not None:
            self.taken[step.name] = action
        return action

    def latency(self, step: Step) -> tuple[float, float]:
        """Return the seconds before and after what a step does."""
        before, after = _LATENCY[step.kind]
        if not self.swarm.jitter:
            return before, after
        first, second, third = draw(self.seed, step.name + " latency")
        # Now and then a step takes far longer than others: that is how threads overtake each other.
        scale = self.swarm.jitter * (20.0 if third < 0.03 else 1.0)
        return before * (0.5 + first * scale), after * (0.5 + second * scale)

    def chance(self, name: str) -> float:
        """Return a number of [0, 1) for a choice that is no step's."""
        return draw(self.seed, name)[0]

    def lands(self, name: str) -> bool:
        """Tell whether a request that was on its way when its process died arrives."""
        return draw(self.seed, name + " lands")[0] < 0.5

    def landing_seconds(self, name: str) -> float:
        """Return after how many seconds it does."""
        chance = draw(self.seed, name + " lands")
        return chance[1] * (0.1 if chance[2] < 0.5 else 3 * self.swarm.lease_seconds)

    def _by_aim(self, step: Step) -> Action | None:
        """Return the fault whose time has come, at the first step from its number on at which it may happen."""
        push_id = pushed_at(step)
        if push_id is None:
            return None
        kinds = (False, True) if step.kind is Kind.PUT else (False,)
        self._met.update((push_id, at_write) for at_write in kinds)
        for place, aim in enumerate(self.swarm.aims):
            since = self._spent.get(place - 1) if aim.follows else 0
            comes = aim.push_id == push_id and aim.at_write in kinds and step.kind in FAULTS[aim.action.name][0]
            if comes and place not in self._spent and since is not None:
                met = self._met[push_id, aim.at_write]
                if aim.number + since <= met:
                    self._spent[place] = met
                    return aim.action
        return None

    def _by_chance(self, step: Step) -> Action | None:
        if step.kind not in self.swarm.kinds:
            return None
        chance, which, how = draw(self.seed, step.name)
        if chance >= self.swarm.rate * _WEIGHT.get(step.kind, 1.0):
            return None
        choices = [name for name in FAULTS if name in self.swarm.on and step.kind in FAULTS[name][0]]
        total = sum(FAULTS[name][1] for name in choices)
        place = which * total
        for name in choices:
            place -= FAULTS[name][1]
            if place < 0:
                return action(name, how, self.swarm.lease_seconds)
        return None


def action(name: str, how: float, lease: float) -> Action:
    """Return a fault in one of its strengths, between 0 and 1; `lease` is the length of one in seconds."""
    choice = int(how * 1_000_000)
    match name:
        case "pause before" | "pause after":
            return Action(name, seconds=0.05 * 60.0**how)
        case "stop before" | "stop after":
            return Action(name, seconds=lease * (1.1 + 3 * how))
        case "kill in flight":
            return Action(name, seconds=0.01 if how < 0.5 else 2 * lease * how)
        case "refuse":
            status, after = ((500, None), (503, None), (429, None), (429, 2.0), (429, 40.0), (502, None))[choice % 6]
            return Action(name, status=status, retry_after=after)
        case "registry away":
            return Action(name, seconds=5 + 60 * how)
        case "restart redis" | "restart redis without its last second":
            return Action(name, seconds=0.2 + (150 if how > 0.85 else 5) * how, choice=choice)
        case "deliver late":
            return Action(name, seconds=1 + 100 * how)
        case _:
            return Action(name, choice=choice)
