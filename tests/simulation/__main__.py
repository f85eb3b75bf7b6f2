"""The command `tests/simulation/run`: search for faults, or look at a run again."""

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.simulation import planted

if TYPE_CHECKING:
    from tests.simulation.search import Case, Figures

SEEDS: Final = Path(__file__).with_name("seeds.txt")
_ROUTINE: Final = (
    "/lease-renewal",
    "/watchdog",
    "/boot",
    "/intake",
    "/budgets",
    "acknowledge",
    "take from",
    "/copy ",
    "/blobs",
)
_POLL: Final = " SET tag:"
_THIN: Final = ("b.example/", "tag:", "written:", "intents", "event", "result of")


def main() -> int:
    """Do what the arguments say; return 1 if a rule was broken."""
    options = _parse()
    if options.planted is not None:
        planted.plant(planted.find(options.planted))
    from tests.simulation import patches, search

    figures = search.Figures()
    with patches.virtual():
        if options.seed is not None:
            return _again(options.seed, shrinks=not options.whole, everything=options.all)
        if options.exhaustive:
            return _exhaust(figures, options)
        if options.density is not None:
            return _tell_density(options.density, options.family)
        return _search(_seeds(options), figures, options)


def _exhaust(figures: "Figures", options: argparse.Namespace) -> int:
    """Try all small cases, or one of them, with at most so many faults."""
    from tests.simulation import search

    chosen = list(search.small_cases())
    chosen = chosen if options.case is None else [chosen[options.case]]
    cases = [case for scenario in chosen for case in search.exhaustive(scenario, options.bound, figures)]
    for case in cases[:3]:
        _show(case, everything=options.all)
    print(figures)
    return bool(cases)


def _tell_density(runs: int, family: str | None) -> int:
    """Tell for each family, or for one, how many of its first runs fail, and by which rules."""
    from tests.simulation import families, search

    for name in families.FAMILIES if family is None else [family]:
        failed = list(search.by_chance((f"{name}-{number}" for number in range(runs)), search.Figures()))
        rules = Counter(rule for _, outcome in failed for rule in {each.rule for each in outcome.violations})
        print(f"{name:10} {len(failed):4} of {runs}  {', '.join(f'{rule} {n}' for rule, n in rules.most_common())}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/simulation/run", description=__doc__)
    parser.add_argument("--seed", help="run one seed again: shrink it if it fails, and print its story")
    parser.add_argument("--whole", action="store_true", help="do not shrink it")
    parser.add_argument("--all", action="store_true", help="print every step")
    parser.add_argument("--minutes", type=float, help="search for so long, with seeds that nobody has tried")
    parser.add_argument("--runs", type=int, help="search for so many runs")
    parser.add_argument("--first", type=int, help="the first seed to try")
    parser.add_argument("--family", metavar="NAME", help="search in runs of one family (tests/simulation/families.py)")
    parser.add_argument("--storms", action="store_true", help="search in storms of releases alone")
    parser.add_argument("--known", action="store_true", help="first run all seeds that ever failed")
    parser.add_argument("--exhaustive", action="store_true", help="all small cases with at most --bound faults")
    parser.add_argument("--bound", type=int, default=1, help="with --exhaustive: at most so many faults (1)")
    parser.add_argument("--case", type=int, help="with --exhaustive: only this small case, from 0")
    parser.add_argument("--planted", metavar="NAME", help="plant a fault in the program (tests/simulation/planted.py)")
    parser.add_argument("--density", type=int, metavar="N", help="of N runs of each family, tell how many fail")
    parser.add_argument("--hashes", action="store_true", help="print the hash of each run")
    parser.add_argument("--stop", action="store_true", help="stop at the first run that fails, and say only its seed")
    return parser.parse_args()


def _seeds(options: argparse.Namespace) -> Iterator[int | str]:
    from tests.simulation.families import fresh, is_storm

    if options.known:
        yield from known_seeds()
    family = "storm" if options.storms else options.family
    if family is None and options.planted is not None:
        family = planted.find(options.planted).family
    first = options.first if options.first is not None else time.time_ns() // 1_000_000 % 10**12
    ends = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    runs = options.runs if options.runs is not None else 1000 if ends is None else None
    tried = 0
    for number in itertools.count(first):
        if (runs is not None and tried >= runs) or (ends is not None and time.monotonic() >= ends):
            return
        seed = f"{family}-{number}" if family else fresh(number) if options.first is None else number
        # Not all that storms show is mended yet.
        if family is not None or not is_storm(seed):
            tried += 1
            yield seed


def known_seeds() -> list[int | str]:
    """Return the seeds that ever failed."""
    lines = (line.partition("#")[0].strip() for line in SEEDS.read_text().splitlines())
    return [_seed_of(line) for line in lines if line]


def _seed_of(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _search(seeds: Iterator[int | str], figures: "Figures", options: argparse.Namespace) -> int:
    from tests.simulation import search

    if options.hashes:
        for seed in seeds:
            print(seed, search.run_seed(seed).digest)
        return 0
    if options.stop:
        return _search_for_one(seeds, figures)
    failed = []
    for seed, outcome in search.by_chance(seeds, figures):
        failed.append(seed)
        print(f"seed {seed} fails: {outcome.scenario}")
        for violation in outcome.violations:
            print(f"    {violation}")
    print(figures)
    if failed:
        print(f"Look at one: tests/simulation/run --seed {failed[0]}")
    return bool(failed)


def _search_for_one(seeds: Iterator[int | str], figures: "Figures") -> int:
    """Search until a run fails."""
    from tests.simulation import search

    for seed, outcome in search.by_chance(seeds, figures):
        print(f"seed {seed} after {figures.runs} runs: {outcome.violations[0]}")
        return 1
    print(figures)
    return 0


def _again(text: str, *, shrinks: bool, everything: bool) -> int:
    from tests.simulation import search

    seed = _seed_of(text)
    outcome = search.run_seed(seed, verbose=True)
    if not outcome.violations:
        _tell(outcome.trace.lines, everything=everything)
        print(f"seed {seed}: nothing is wrong. {outcome.scenario}")
        return 0
    if shrinks:
        _show(search.shrink(seed, outcome), everything=everything)
        return 1
    _tell(outcome.trace.lines, everything=everything)
    return 1


def _show(case: "Case", *, everything: bool) -> None:
    """Print a case that fails as a story."""
    outcome = case.run(verbose=True)
    print(f"What is done: {case.scenario}")
    print("Faults:")
    for name, action in case.script.items():
        print(f"    {name}: {action}")
    _tell(outcome.trace.lines, everything=everything)
    for violation in outcome.violations:
        print(f"    {violation}")


def _tell(lines: list[str], *, everything: bool) -> None:
    """Print what happened; unless `everything` is wanted, only what is about tags, and of polls for a lock the last."""
    told = [line for line in lines if everything or _is_telling(line)]
    for line, following in itertools.pairwise([*told, ""]):
        if everything or _POLL not in line or _without_time(line) != _without_time(following):
            print(line)


def _is_telling(line: str) -> bool:
    if "<<<" in line or "  * " in line:
        return True
    return any(each in line for each in _THIN) and not any(each in line for each in _ROUTINE)


def _without_time(line: str) -> str:
    return line.partition("  ")[2].strip().rpartition("  ")[2].rpartition(" ")[0]


if __name__ == "__main__":
    sys.exit(main())
