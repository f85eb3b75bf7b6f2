"""Two ways to search: by chance, one seed a run, and all runs of a small case with a bound on faults; and shrinking."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from tests.simulation.decisions import Action, Decisions, Kind, Swarm
from tests.simulation.families import at_random
from tests.simulation.registry_model import Flavour
from tests.simulation.run_one import Outcome, play
from tests.simulation.scenario import B, Item, Push, Scenario
from tests.simulation.wiring import LEASE_SECONDS

# What one does to a step in an exhaustive search: a preemption, a stop for longer than any lease, a kill, and so on.
ACTIONS: Final = (
    Action("pause before", seconds=0.4),
    Action("pause after", seconds=0.4),
    Action("stop before", seconds=2 * LEASE_SECONDS),
    Action("stop after", seconds=2 * LEASE_SECONDS),
    Action("kill before"),
    Action("kill in flight", seconds=0.01),
    Action("kill after"),
    Action("lose answer"),
    Action("foreign write", choice=1),
    Action("end lease"),
)
# Of a case with two faults: what follows right after a step is the same as what precedes the thread's next one.
_FIRST: Final = tuple(action for action in ACTIONS if not action.name.endswith("after"))
_SECOND: Final = tuple(
    action for action in ACTIONS if action.name in {"stop before", "kill in flight", "foreign write"}
)
_MERGED: Final = ".merged-"
_THIN: Final = frozenset({Kind.MOVE, Kind.PUT, Kind.LOCK, Kind.EVENT})


@dataclass
class Figures:
    """What a search has done so far."""

    runs: int = 0
    pushes: int = 0
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    interleavings: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.process_time)

    def count(self, outcome: Outcome) -> None:
        """Add one run."""
        self.runs += 1
        self.pushes += len(outcome.scenario.pushes)
        self.steps += outcome.steps
        self.faults.update(action.name for action in outcome.taken.values())
        self.excused.update(said.partition(":")[2].strip()[:60] for said in outcome.excused)
        self.interleavings.add(outcome.digest)

    def __str__(self) -> str:
        seconds = max(1e-9, time.process_time() - self.started)
        faults = ", ".join(f"{name} {number}" for name, number in self.faults.most_common())
        excused = "".join(f"\nexcused {number} times: {said}" for said, number in self.excused.most_common())
        return (
            f"{self.runs} runs, {self.pushes} pushes ({self.pushes / seconds * 60:.0f} a minute), {self.steps} steps,"
            f" {len(self.interleavings)} interleavings{f', {self.cut} cut as equal' if self.cut else ''}"
            f"\nfaults: {faults or 'none'}{excused}"
        )


def run_seed(seed: int | str, *, verbose: bool = False) -> Outcome:
    """Run the scenario of a seed."""
    scenario = at_random(seed)
    return play(scenario, Decisions(seed, scenario.swarm), verbose=verbose)


def by_chance(seeds: Iterable[int | str], figures: Figures) -> Iterator[tuple[int | str, Outcome]]:
    """Yield the runs that fail."""
    for seed in seeds:
        outcome = run_seed(seed)
        figures.count(outcome)
        if outcome.violations:
            yield seed, outcome


@dataclass(frozen=True)
class Case:
    """One run to the letter: a scenario, and the faults by the names of their steps."""

    seed: int | str
    scenario: Scenario
    script: Mapping[str, Action]

    def run(self, *, verbose: bool = False) -> Outcome:
        """Run it."""
        return play(self.scenario, Decisions(self.seed, self.scenario.swarm, self.script), verbose=verbose)


def shrink(seed: int | str, outcome: Outcome) -> Case:
    """Return a smaller case that breaks one of the rules that a run broke: fewer faults, pushes, workers, tags."""
    rules = {violation.rule for violation in outcome.violations}
    case = Case(seed, outcome.scenario, dict(outcome.taken))
    if not _breaks(case, rules):
        return case
    while (smaller := next((each for each in _smaller(case) if _breaks(each, rules)), None)) is not None:
        case = smaller
    return case


def exhaustive(scenario: Scenario, bound: int, figures: Figures) -> Iterator[Case]:
    """Yield the cases that fail, of all with at most `bound` faults at the steps where tags move.

    Beyond one fault, of runs in which all that pushes share happened in the same order only one is gone on with.
    """
    yield from _explore(Case("exhaustive", _still(scenario), {}), bound, figures, set() if bound > 1 else None)


def _still(scenario: Scenario) -> Scenario:
    return replace(scenario, swarm=Swarm(jitter=0.0, spreads=True, lease_seconds=LEASE_SECONDS))


def small_cases() -> Iterator[Scenario]:
    """Yield small scenarios: two pushes into one tag, absent or held, of two platforms or one, alone or together."""
    held = (("app:latest", ("linux/s390x",), "v0"),)
    for flavour in Flavour:
        yield _two(flavour, "linux/arm64")
        yield _two(flavour, "linux/arm64", held=held)
    yield _two(Flavour.QUAY, "linux/amd64")
    yield _two(Flavour.QUAY, "linux/arm64", held=held, atomic="push")


def _two(
    flavour: Flavour, second: str, held: tuple[tuple[str, tuple[str, ...], str], ...] = (), atomic: str | None = None
) -> Scenario:
    platforms = (("linux/amd64", 0.0), (second, 0.05))
    pushes = tuple(
        Push(f"p{number}", (Item((platform,), "v1", ("app:latest",)),), at, atomic=atomic)
        for number, (platform, at) in enumerate(platforms, 1)
    )
    return Scenario(flavour, pushes, held, workers=2, slots=1)


def _explore(case: Case, left: int, figures: Figures, seen: set[tuple[int, str]] | None) -> Iterator[Case]:
    steps: list[str] = []
    outcome = _recorded(case, steps)
    figures.count(outcome)
    if outcome.violations:
        yield case
        return
    if not left:
        return
    if seen is not None:
        known, state = len(seen), (left, outcome.trace.order)
        seen.add(state)
        if len(seen) == known:
            figures.cut += 1
            return
    last = max((steps.index(name) for name in case.script if name in steps), default=-1)
    for name in steps[last + 1 :]:
        for action in ACTIONS if seen is None else _actions(name, is_first=not case.script):
            yield from _explore(replace(case, script={**case.script, name: action}), left - 1, figures, seen)


def _actions(step: str, *, is_first: bool) -> Iterator[Action]:
    """Yield what is tried at a step of a case with several faults: only where it makes a difference."""
    at_tag, puts = f" {B}/" in step and _MERGED not in step, " PUT " in step
    for action in _FIRST if is_first else _SECOND:
        wanted = {"foreign write": at_tag, "kill in flight": puts, "lose answer": puts}
        if wanted.get(action.name, True):
            yield action


def _recorded(case: Case, steps: list[str]) -> Outcome:
    """Run a case and note the names of the steps at which a fault may happen."""
    decisions = Decisions(case.seed, case.scenario.swarm, case.script)
    decide = decisions.decide

    def deciding(step):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as the method that it stands for
        if step.kind in _THIN and step.fallible and "/publish" in step.name:
            steps.append(step.name)
        return decide(step)

    decisions.decide = deciding  # type: ignore[method-assign]
    return play(case.scenario, decisions)


def _breaks(case: Case, rules: set[str]) -> bool:
    return bool(rules & {violation.rule for violation in case.run().violations})


def _smaller(case: Case) -> Iterator[Case]:
    scenario, script = case.scenario, case.script
    for name in script:
        yield replace(case, script={other: action for other, action in script.items() if other != name})
    for changed in _simpler(scenario):
        yield replace(case, scenario=changed)


def _simpler(scenario: Scenario) -> Iterator[Scenario]:
    if scenario.swarm.jitter:
        yield replace(scenario, swarm=replace(scenario.swarm, jitter=0.0))
    if scenario.undo is not None:
        yield replace(scenario, undo=None)
    for number, push in enumerate(scenario.pushes):
        others = (*scenario.pushes[:number], *scenario.pushes[number + 1 :])
        if others and push.push_id != scenario.undo:
            yield replace(scenario, pushes=others)
        for smaller in _smaller_push(push):
            yield replace(scenario, pushes=(*scenario.pushes[:number], smaller, *scenario.pushes[number + 1 :]))
    for number in range(len(scenario.held)):
        yield replace(scenario, held=(*scenario.held[:number], *scenario.held[number + 1 :]))
    if scenario.workers > 1:
        yield replace(scenario, workers=scenario.workers - 1)
    if scenario.budgets:
        yield replace(scenario, budgets=False)
    if scenario.flavour is not Flavour.DISTRIBUTION:
        yield replace(scenario, flavour=Flavour.DISTRIBUTION)


def _around(items: tuple[Item, ...], number: int, *instead: Item) -> tuple[Item, ...]:
    return (*items[:number], *instead, *items[number + 1 :])


def _smaller_push(push: Push) -> Iterator[Push]:
    if push.atomic is not None:
        yield replace(push, atomic=None)
    for number, item in enumerate(push.items):
        around = partial(_around, push.items, number)
        if len(push.items) > 1:
            yield replace(push, items=around())
        for tag in item.tags if len(item.tags) > 1 else ():
            yield replace(push, items=around(replace(item, tags=tuple(t for t in item.tags if t != tag))))
        for platform in item.platforms if len(item.platforms) > 1 else ():
            left = tuple(each for each in item.platforms if each != platform)
            yield replace(push, items=around(replace(item, platforms=left)))
