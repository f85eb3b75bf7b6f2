"""What an examination found: each thing with its place, and what to do about it. Pure."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

Level = Literal["ok", "unknown", "warning", "error"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "unknown", "warning", "error")

# Registries date their answers to the second, and an answer takes its time.
_NOTED_SKEW: Final = 5.0
# Tokens are not good before they are issued; registries forgive a minute.
_HARMFUL_SKEW: Final = 60.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at; `advice` is empty where nothing is to be done."""

    check: str
    level: Level
    where: str
    found: str
    advice: str = ""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found; `level` is that of the worst. With an error, a push would not work."""

    level: Level
    findings: list[Finding]


def diagnose(findings: Iterable[Finding]) -> Diagnosis:
    """Return findings with the level of the worst."""
    listed = list(findings)
    worst = max((LEVELS.index(finding.level) for finding in listed), default=0)
    return Diagnosis(level=LEVELS[worst], findings=listed)


def fine(check: str, where: str, found: str) -> Finding:
    """Return a finding of what is as it should be."""
    return Finding(check=check, level="ok", where=where, found=found)


def unknown(check: str, where: str, found: str, advice: str) -> Finding:
    """Return a finding of what could not be looked at from here."""
    return Finding(check=check, level="unknown", where=where, found=found, advice=advice)


def warning(check: str, where: str, found: str, advice: str) -> Finding:
    """Return a finding that does not keep a push from working."""
    return Finding(check=check, level="warning", where=where, found=found, advice=advice)


def fault(check: str, where: str, found: str, advice: str) -> Finding:
    """Return a finding that keeps pushes from working, or from surviving."""
    return Finding(check=check, level="error", where=where, found=found, advice=advice)


def judge_clock(where: str, other: str, ahead: float) -> Finding:
    """Return what it means that the clock of `where` is so many seconds ahead of that of `other`."""
    amount = abs(ahead)
    if amount < _NOTED_SKEW:
        return fine("clock", where, f"the clock is that of {other}, within {_NOTED_SKEW:g} s")
    found = f"the clock is {amount:.0f} s {'ahead of' if ahead > 0 else 'behind'} that of {other}"
    advice = "Let both be set by NTP: registries refuse tokens that are not valid yet, or no longer."
    return (fault if amount >= _HARMFUL_SKEW else warning)("clock", where, found, advice)
