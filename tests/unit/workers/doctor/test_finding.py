"""Findings: the worst counts, and clocks are judged by how far they are apart."""

import pytest

from workers.doctor.finding import Level, diagnose, fault, fine, judge_clock, warning

OK = fine("a", "here", "good")
ODD = warning("b", "here", "odd", "look")
BAD = fault("c", "here", "bad", "mend")


def test_a_diagnosis_is_as_bad_as_its_worst_finding() -> None:
    assert diagnose([]).level == "ok"
    assert diagnose([OK, OK]).level == "ok"
    assert diagnose([OK, ODD, OK]).level == "warning"
    assert diagnose(iter([BAD, ODD, OK])).level == "error"
    assert diagnose([ODD, OK]).findings == [ODD, OK]


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [
        (0.0, "ok", "within 5 s"),
        (-4.9, "ok", "within 5 s"),
        (5.0, "warning", "5 s ahead of that of there"),
        (-59.4, "warning", "59 s behind that of there"),
        (60.0, "error", "60 s ahead of that of there"),
        (-3600.0, "error", "3600 s behind that of there"),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_from_the_other(ahead: float, level: Level, words: str) -> None:
    finding = judge_clock("here", "there", ahead)
    assert (finding.check, finding.level, finding.where) == ("clock", level, "here")
    assert words in finding.found
    assert ("NTP" in finding.advice) is (level != "ok")
