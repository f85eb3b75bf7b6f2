"""The rules of a push as data, and the places that cite them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.docs.readme import ROOT

RULES: Final = ROOT / "tasks" / "BEHAVIOUR.md"
_FOLDERS: Final = ("deploy", "tasks", "tests", "workers")
_SUFFIXES: Final = {"", ".conf", ".md", ".py", ".sh", ".toml", ".yaml", ".yml"}
_LEFT_OUT: Final = {RULES, Path(__file__), Path(__file__).with_name("test_rules.py")}
_SECTION: Final = re.compile(r"^## (\d+) ", re.MULTILINE)
_RULE: Final = re.compile(r"^\*\*(\d+\.\d+)\*\* (\(planned\))?", re.MULTILINE)

_NUMBER: Final = r"\d+(?:\.\d+)?"
_RANGE: Final = r" to | ?[-\N{EN DASH}] ?"
_NEXT: Final = rf"(?:,? and |, |{_RANGE})(?:(?:sections?|rules?) )?{_NUMBER}"
_CITATION: Final = re.compile(rf"\b(?:BEHAVIOUR|[Rr]ules?) (?:sections? )?({_NUMBER}(?:{_NEXT})*)")
_BOUNDS: Final = re.compile(rf"({_NUMBER})(?:(?:{_RANGE})({_NUMBER}))?")
# A docstring, a comment or a paragraph may break within a citation.
_BREAK: Final = re.compile(r"\s*\n[ \t]*(?:# ?)?")


@dataclass(frozen=True)
class Rules:
    """The numbers of `tasks/BEHAVIOUR.md`, in its order."""

    sections: tuple[str, ...]
    rules: tuple[str, ...]
    planned: frozenset[str]


@cache
def rules() -> Rules:
    """Return the rules of this checkout."""
    return read_rules(RULES.read_text())


def read_rules(text: str) -> Rules:
    """Return the numbers of sections and rules in a text, and those of the rules that no code keeps yet."""
    found = _RULE.findall(text)
    numbers = tuple(number for number, _ in found)
    return Rules(tuple(_SECTION.findall(text)), numbers, frozenset(number for number, planned in found if planned))


def cited_in(text: str) -> Iterator[str]:
    """Yield the number of each rule and each section that a text cites; a range stands for all numbers in it."""
    for numbers in _CITATION.findall(_BREAK.sub(" ", text)):
        for first, last in _BOUNDS.findall(numbers):
            yield from _between(first, last or first)


def _between(first: str, last: str) -> Iterator[str]:
    section, dot, low = first.rpartition(".")
    other, _, high = last.rpartition(".")
    assert section == other, f"{first} to {last} spans two sections"
    for number in range(int(low), int(high) + 1):
        yield f"{section}{dot}{number}"


@cache
def citations() -> dict[str, frozenset[str]]:
    """Return the numbers that each file of the project cites; the tests of the citations themselves are left out."""
    files = [*ROOT.glob("*.md")]
    for folder in _FOLDERS:
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in _SUFFIXES and path.is_file()]
    return {
        path.relative_to(ROOT).as_posix(): frozenset(cited_in(path.read_text()))
        for path in files
        if path not in _LEFT_OUT
    }
