"""Limits of a namespace, and rules for tags, count as Quay itself counts them."""

from typing import Any

import msgspec
import pytest

from tasks.registry.preflight.quay import Namespace, TagPolicy, highest_limit, limit_at


def told(used: int, *limits: tuple[str, int], default: int | None = None, status: str = "complete") -> Namespace:
    quota = {
        "id": 1,
        "limit_bytes": 1000,
        "limits": [{"id": 1, "type": kind, "limit_percent": p} for kind, p in limits],
    }
    said: dict[str, Any] = {"name": "team", "quotas": [quota] if limits else []}
    report = {"quota_bytes": used, "configured_quota": default, "backfill_status": status}
    return msgspec.convert(said | {"quota_report": report}, Namespace)


@pytest.mark.parametrize(
    ("namespace", "limit"),
    [
        (told(1000, ("Reject", 100)), 1000),
        (told(999, ("Reject", 100)), None),
        (told(900, ("Warning", 80), ("Reject", 90)), 900),
        (told(850, ("Warning", 80), ("Reject", 90)), None),
        (told(5000, ("Warning", 100)), None),
        (told(5000, ("Reject", 80), ("Warning", 100)), None),
        (told(900, ("Reject", 80), ("Warning", 100)), 800),
        (told(5000), None),
        (told(5000, default=0), None),
        (told(5000, default=6000), None),
        (told(5000, default=5000), 5000),
    ],
)
def test_the_highest_limit_that_is_reached_counts(namespace: Namespace, limit: int | None) -> None:
    assert namespace.quota_report is not None
    assert limit_at(namespace, namespace.quota_report.quota_bytes) == limit


@pytest.mark.parametrize(
    ("namespace", "limit"),
    [
        (told(0, ("Warning", 80), ("Reject", 90)), 900),
        (told(0, ("Reject", 80), ("Warning", 100)), None),
        (told(0, ("Warning", 80)), None),
        (told(0, default=7000), 7000),
        (told(0), None),
        (told(0, ("Reject", 100), status="running"), None),
        (Namespace(), None),
    ],
)
def test_a_namespace_never_holds_what_its_highest_limit_refuses(namespace: Namespace, limit: int | None) -> None:
    assert highest_limit(namespace) == limit


@pytest.mark.parametrize(
    ("pattern", "matches", "fixed", "free"),
    [
        ("v[0-9]", True, "v1 v1.2", "latest av1"),
        ("^v[0-9]$", True, "v1", "v1.2"),
        ("dev-", False, "v1 latest", "dev-1"),
        ("(", True, "", "v1"),
        ("(", False, "", "v1"),
        ("(a|a)*$", True, "", "a" * 100 + "b"),
        ("(a|a)*$", False, "", "a" * 100 + "b"),
    ],
)
def test_a_rule_makes_tags_immutable_that_it_matches_or_all_others(
    pattern: str, matches: bool, fixed: str, free: str
) -> None:
    policy = msgspec.convert({"uuid": "x", "tagPattern": pattern, "tagPatternMatches": matches}, TagPolicy)
    assert [tag for tag in f"{fixed} {free}".split() if policy.makes_immutable(tag)] == fixed.split()
