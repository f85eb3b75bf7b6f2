"""The rules of a Harbor project for tags."""

from typing import Any

import msgspec
import pytest

from tasks.registry.preflight.harbor import TagRule


def rule(tags: str, repositories: str = "**", *, without: bool = False, disabled: bool = False) -> dict[str, Any]:
    decoration = ("excludes", "repoExcludes") if without else ("matches", "repoMatches")
    return {
        "id": 1,
        "disabled": disabled,
        "tag_selectors": [{"kind": "doublestar", "decoration": decoration[0], "pattern": tags}],
        "scope_selectors": {
            "repository": [{"kind": "doublestar", "decoration": decoration[1], "pattern": repositories}]
        },
    }


@pytest.mark.parametrize(
    ("said", "fixed"),
    [
        (rule("v*"), True),
        (rule("**"), True),
        (rule("latest"), False),
        (rule("v*", "apps/**"), True),
        (rule("v*", "other/*"), False),
        (rule("latest", "other/*", without=True), True),
        (rule("v*", "other/*", without=True), False),
        (rule("latest", "apps/*", without=True), False),
        (rule("v*", disabled=True), False),
        ({"id": 1}, False),
    ],
)
def test_a_rule_makes_tags_of_some_repositories_immutable(said: dict[str, Any], fixed: bool) -> None:
    assert msgspec.convert(said, TagRule).makes_immutable("apps/one", "v1") == fixed
