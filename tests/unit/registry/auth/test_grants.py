"""What the token of a registry says about a push (BEHAVIOUR 6.8)."""

import base64
import json

import pytest

from tasks.registry.auth.grants import Grant, lacking_right, read_grant


@pytest.mark.parametrize("actions", [{"pull", "push"}, {"push"}, {"*"}, {"delete", "pull", "push"}])
def test_a_grant_that_allows_a_push_is_no_error(actions: set[str]) -> None:
    assert lacking_right(Grant(frozenset(actions)), "registry.example.com", "ns/app", "robot") is None


@pytest.mark.parametrize(
    ("actions", "user", "code"),
    [
        ({"pull"}, "robot", "right_missing"),
        ({"pull"}, None, "right_missing"),
        (set(), "robot", "namespace_missing"),
        (set(), None, "right_missing"),
    ],
)
def test_a_grant_that_allows_no_push_says_what_lacks(actions: set[str], user: str | None, code: str) -> None:
    error = lacking_right(Grant(frozenset(actions)), "registry.example.com", "ns/app", user)
    assert error is not None
    assert error.code == code


def test_a_token_tells_of_its_own_repository_alone() -> None:
    access = [{"type": "repository", "name": "ns/app", "actions": ["pull", "push"]}]
    payload = base64.urlsafe_b64encode(json.dumps({"access": access}).encode()).decode().rstrip("=")
    token = f"e30.{payload}.signature"
    assert read_grant(token, "ns/app") == Grant(frozenset({"pull", "push"}))
    assert read_grant(token, "ns/other") == Grant(frozenset())
    assert read_grant("opaque", "ns/app") is None
