"""Rules for producers."""

import pytest

from tasks.errors import NotPermitted
from tasks.oci.reference import Reference
from tasks.transfer.request.policy import WORKERS, Action, Policy, Rule

SOURCE = Reference.parse("registry.example/build/app:1")
BUILDS = Rule("builds", frozenset({"ci"}), ("registry.example/build/*",), ("quay.example/test/*:*",))
RELEASES = Rule("releases", frozenset({"release"}), actions=frozenset({"push", "undo"}))


@pytest.mark.parametrize(
    ("producer", "action", "destination", "permitted"),
    [
        ("ci", "push", "quay.example/test/app:1", True),
        ("ci", "push", "quay.example/prod/app:1", False),
        ("ci", "undo", "quay.example/test/app:1", False),
        ("ci", "retry", "quay.example/test/app:1", False),
        ("release", "push", "quay.example/prod/app:1", True),
        ("release", "undo", "quay.example/prod/app:1", True),
        ("release", "hold", "quay.example/prod/app:1", False),
        ("release", "cancel", "quay.example/prod/app:1", False),
        ("other", "push", "quay.example/test/app:1", False),
        (None, "push", "quay.example/test/app:1", False),
        (WORKERS, "undo", "quay.example/prod/app:1", True),
    ],
)
def test_rules_permit_and_nothing_else_does(
    producer: str | None, action: Action, destination: str, permitted: bool
) -> None:
    policy = Policy((BUILDS, RELEASES))
    if permitted:
        policy.check(producer, action, SOURCE, [destination])
        return
    with pytest.raises(NotPermitted) as refused:
        policy.check(producer, action, SOURCE, [destination])
    assert destination in str(refused.value)


def test_a_refusal_names_the_rule_and_the_part_of_it_that_did_not_fit() -> None:
    with pytest.raises(NotPermitted, match=r"\[policy\.builds\] does not, by its sources"):
        Policy((BUILDS,)).check("ci", "push", Reference.parse("evil.example/build/app:1"), ["quay.example/test/app:1"])


def test_one_destination_that_is_not_permitted_is_enough() -> None:
    with pytest.raises(NotPermitted, match=r"quay\.example/prod/app:1"):
        Policy((BUILDS,)).check("ci", "push", SOURCE, ["quay.example/test/app:1", "quay.example/prod/app:1"])


def test_without_rules_all_is_permitted() -> None:
    Policy().check(None, "undo", None, ["anything"])
