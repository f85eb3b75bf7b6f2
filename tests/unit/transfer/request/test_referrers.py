"""What a request says of referrers and signatures, and whose word counts (BEHAVIOUR 9.1, 9.5, 9.6)."""

from typing import Any

import pytest

from tasks.oci.signatures import SignaturePolicy
from tasks.transfer.request.target import ALL_REFERRERS, Referrers, Target
from tasks.transfer.request.validation import validate
from tests.support.signatures import Signer
from tests.unit.transfer.request.requests import fields, item, pubtools, pubtools_item, read, read_item

KEY, OTHER = Signer().public, Signer().public


def of_target(target: Target, **said: Any) -> Any:
    (found,) = validate({"items": [item(destinations={"app": ["1"]}) | said], "target": "t"}, {"t": target}).items
    return found


@pytest.mark.parametrize(
    ("said", "meant"), [("all", ALL_REFERRERS), ("none", None), (["a/b", "c/d", "a/b"], ("a/b", "c/d")), (None, ())]
)
def test_an_item_chooses(said: Any, meant: Referrers) -> None:
    assert read_item(referrers=said).referrers == meant


def test_the_native_form_brings_all_and_the_other_none() -> None:
    (found,) = read(pubtools(pubtools_item())).items
    assert (found.referrers, read_item().referrers) == (None, ALL_REFERRERS)


def test_a_target_speaks_for_items_that_do_not() -> None:
    target = Target("b.example", referrers=("a/b",), referrers_required=True)
    assert (of_target(target).referrers, of_target(target).referrers_required) == (("a/b",), True)
    own = of_target(target, referrers="none", referrers_required=False)
    assert (own.referrers, own.referrers_required) == (None, False)
    (other,) = validate({"push_items": [pubtools_item()], "target": "t"}, {"t": target}).items
    assert other.referrers == ("a/b",)


def test_no_item_takes_away_the_signature_that_its_target_asks_for() -> None:
    target = Target("b.example", verify=SignaturePolicy(keys=(OTHER,)))
    assert of_target(target).verify == (target.verify,)
    asked = of_target(target, verify={"keys": [KEY], "index": "children"}).verify
    assert asked == (target.verify, SignaturePolicy(keys=(KEY,), index="children"))


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"referrers": "some"}, "referrers"),
        ({"referrers": []}, "referrers"),
        ({"referrers": [""]}, "referrers"),
        ({"referrers": [1]}, "referrers"),
        ({"referrers": 1}, "referrers"),
        ({"referrers_required": "yes"}, "referrers_required"),
        ({"verify": []}, "verify"),
        ({"verify": {}}, "verify.keys"),
        ({"verify": {"keys": []}}, "verify.keys"),
        ({"verify": {"keys": [1]}}, "verify.keys"),
        ({"verify": {"keys": ["key"]}}, "verify.keys"),
        ({"verify": {"keys": [KEY], "index": "some"}}, "verify.index"),
        ({"verify": {"keys": [KEY], "key": ""}}, "verify.key"),
        ({"verify": {"identities": {}}}, "verify.identities"),
        ({"verify": {"identities": ["who"]}}, "verify.identities"),
        ({"verify": {"identities": [{"identity": "who"}]}}, "verify.identities.issuer"),
        ({"verify": {"identities": [{"identity": "", "issuer": "url"}]}}, "verify.identities.identity"),
        ({"verify": {"identities": [{"identity": "who", "issuer": "url", "key": ""}]}}, "verify.identities.key"),
    ],
)
def test_what_cannot_be_meant_is_a_fault(said: dict[str, Any], field: str) -> None:
    assert (0, field) in fields({"items": [item(**said)]})
