"""The findings of an examination, each with its place and advice. Pure."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

Level = Literal["ok", "unknown", "warning", "error"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "unknown", "warning", "error")

# Registries date their answers to the second, and an answer takes some time.
_NOTED_SKEW: Final = 5.0
# A token is not valid before it is issued; registries tolerate a minute.
_HARMFUL_SKEW: Final = 60.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check; `advice` is empty if there is nothing to do."""

    check: str
    level: Level
    where: str
    found: str
    advice: str = ""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All findings; `level` is the worst of theirs. With an error, a push would not work."""

    level: Level
    findings: list[Finding]


def diagnose(findings: Iterable[Finding]) -> Diagnosis:
    """Return findings with the worst of their levels."""
    listed = list(findings)
    worst = max((LEVELS.index(finding.level) for finding in listed), default=0)
    return Diagnosis(level=LEVELS[worst], findings=listed)


def fine(check: str, where: str, found: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check=check, level="ok", where=where, found=found)


def unknown(check: str, where: str, found: str, advice: str) -> Finding:
    """Return a finding for a check that was not possible from here."""
    return Finding(check=check, level="unknown", where=where, found=found, advice=advice)


def warning(check: str, where: str, found: str, advice: str) -> Finding:
    """Return a finding that does not prevent a push."""
    return Finding(check=check, level="warning", where=where, found=found, advice=advice)


def fault(check: str, where: str, found: str, advice: str) -> Finding:
    """Return a finding that makes pushes fail or get lost."""
    return Finding(check=check, level="error", where=where, found=found, advice=advice)


def judge_clock(where: str, other: str, ahead: float) -> Finding:
    """Judge a clock difference: `where` is `ahead` seconds ahead of `other`."""
    amount = abs(ahead)
    if amount < _NOTED_SKEW:
        return fine("clock", where, f"the clock is that of {other}, within {_NOTED_SKEW:g} s")
    found = f"the clock is {amount:.0f} s {'ahead of' if ahead > 0 else 'behind'} that of {other}"
    advice = "Let both be set by NTP: registries refuse tokens that are not valid yet, or no longer."
    return (fault if amount >= _HARMFUL_SKEW else warning)("clock", where, found, advice)
