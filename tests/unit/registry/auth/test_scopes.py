"""What a challenge adds to the scopes that a request wants."""

import pytest

from tasks.registry.auth.scopes import merge_scopes


@pytest.mark.parametrize(
    ("wanted", "asked", "expected"),
    [
        ({"repository:a:pull,push"}, "", {"repository:a:pull,push"}),
        ({"repository:a:pull,push"}, "repository:a:pull", {"repository:a:pull,push"}),
        ({"repository:a:pull,push"}, "repository:a:delete", {"repository:a:pull,push,delete"}),
        ({"repository:a:pull,push"}, "repository:a:push,*", {"repository:a:pull,push,*"}),
        ({"repository:a:pull,push"}, "repository:b:delete", {"repository:a:pull,push"}),
        ({"repository:a:pull"}, "repository:a:pull,push", {"repository:a:pull"}),
        ({"repository:a:pull"}, "repository:a:*", {"repository:a:pull"}),
        (
            {"repository:a:pull,push", "repository:b:pull"},
            "repository:b:pull repository:a:push,delete",
            {"repository:a:pull,push,delete", "repository:b:pull"},
        ),
        ({"repository:h:5000/a:pull,push"}, "repository:h:5000/a:delete", {"repository:h:5000/a:pull,push,delete"}),
        (set(), "repository:a:pull,push", set()),
        (
            {"registry:catalog:*", "repository:a:push"},
            "garbage :: repository",
            {
                "registry:catalog:*",
                "repository:a:push",
            },
        ),
    ],
)
def test_a_challenge_adds_actions_only_where_the_request_means_to_write(
    wanted: set[str], asked: str, expected: set[str]
) -> None:
    assert merge_scopes(frozenset(wanted), asked) == expected
