"""The rules of a push: every number that is cited exists, and every rule that holds has a test that cites it."""

from itertools import pairwise

import pytest

from tests.docs.rules import citations, cited_in, read_rules, rules


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Keep what refers to an image (BEHAVIOUR 4.3).", ["4.3"]),
        ("BEHAVIOUR 3.5, 4.8, 4.9", ["3.5", "4.8", "4.9"]),
        ("BEHAVIOUR 8.1 and 6.7.", ["8.1", "6.7"]),
        ("BEHAVIOUR 5.3, 8.1 to 8.4", ["5.3", "8.1", "8.2", "8.3", "8.4"]),
        ("rules 8.1-8.3)", ["8.1", "8.2", "8.3"]),
        ("BEHAVIOUR 5", ["5"]),
        ("BEHAVIOUR section 4", ["4"]),
        ("BEHAVIOUR sections 2 to 4 on two registries", ["2", "3", "4"]),
        ("BEHAVIOUR sections 2.2, 3 and 4", ["2.2", "3", "4"]),
        ("BEHAVIOUR 2.2 and section 3", ["2.2", "3"]),
        ("Rules 2.3, 5.2, and 6.4: two of three", ["2.3", "5.2", "6.4"]),
        ("the class, rule 6.7", ["6.7"]),
        ("# A comment that breaks (BEHAVIOUR\n    # 5.1,\n    # 5.4).", ["5.1", "5.4"]),
        ("BEHAVIOUR 10.4", ["10.4"]),
        ("RFC 9110 section 11.6.1", []),
        ("the rule by which 3.2 is read", []),
    ],
)
def test_citations_are_read_in_every_form(text: str, numbers: list[str]) -> None:
    assert list(cited_in(text)) == numbers


def test_rules_are_read_with_their_marks() -> None:
    read = read_rules("## 1 Input\n\n**1.1** A push.\n\n**1.2** (planned) All.\n\n**1.3** Here (planned: there).\n")
    assert read.sections == ("1",)
    assert read.rules == ("1.1", "1.2", "1.3")
    assert read.planned == {"1.2"}


def test_numbers_have_no_gap() -> None:
    assert [int(number) for number in rules().sections] == list(range(1, len(rules().sections) + 1))
    numbered = [tuple(map(int, number.split("."))) for number in rules().rules]
    assert numbered[0] == (1, 1)
    for (section, rule), following in pairwise(numbered):
        assert following in {(section, rule + 1), (section + 1, 1)}


def test_every_rule_that_is_cited_exists() -> None:
    known = {*rules().rules, *rules().sections}
    unknown = {path: numbers - known for path, numbers in citations().items() if numbers - known}
    assert unknown == {}


def _cited_by_tests() -> set[str]:
    return {
        number
        for path, numbers in citations().items()
        if path.startswith("tests/") and path.rpartition("/")[2].startswith("test_")
        for number in numbers
    }


def test_every_rule_that_holds_is_cited_by_a_test() -> None:
    assert [number for number in rules().rules if number not in _cited_by_tests() | rules().planned] == []


def test_no_rule_that_is_planned_has_a_test_already() -> None:
    """Its mark goes with the code that keeps it."""
    assert rules().planned & _cited_by_tests() == set()
