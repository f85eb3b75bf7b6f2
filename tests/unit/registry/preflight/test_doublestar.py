"""The patterns of Harbor's rules."""

import pytest

from tasks.registry.preflight.doublestar import matches


@pytest.mark.parametrize(
    ("pattern", "matched", "other"),
    [
        ("**", "v1 a/b latest", ""),
        ("*", "v1 latest", "a/b"),
        ("v*", "v1 v", "1v a/v1"),
        ("v?.*", "v1.2", "v12 v1"),
        ("{v*,release-*}", "v1 release-2", "latest"),
        ("[0-9]*", "1.0", "v1"),
        ("[^v]*", "1.0", "v1"),
        ("team/**", "team/a team/a/b", "team other/team/a"),
        ("**/app", "app a/app a/b/app", "a/apps"),
        ("a.b", "a.b", "acb"),
        ("a,b", "a,b", "a b"),
        ("1}", "1}", "1"),
        ("{v*", "", "v1"),
    ],
)
def test_what_a_pattern_describes(pattern: str, matched: str, other: str) -> None:
    names = [*matched.split(), *other.split()]
    assert [name for name in names if matches(pattern, name)] == matched.split()


@pytest.mark.parametrize(
    "pattern", ["*a*a*a*a*a*b", "{a,a}" * 60, "**/**/**/b", "{" + "a," * 40 + "a}", "a" * 2000, "?*?*?*b"]
)
def test_a_pattern_that_would_take_too_long_describes_nothing(pattern: str) -> None:
    """A hostile registry would stop the worker by it: the match would still go on when the suite is stopped."""
    assert not matches(pattern, "a" * 128)
