"""The profiles that a test runs over, and what the product does not do on some of them yet."""

from collections.abc import Iterable, Mapping

import pytest

from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile

EVERY = tuple(profiles.small(profile) for profile in profiles.ALL)
_VARIANTS = frozenset({"quay-3.11", "distribution-3.1", "harbor-no-mounts", "ecr-create-on-push", "announcing-proxy"})
# One of each product, for tests on which its variants behave alike.
PRODUCTS = tuple(profile for profile in EVERY if profile.name not in _VARIANTS)
# One of each form of upload.
UPLOADING = tuple(
    profile
    for profile in EVERY
    if profile.name in {"strict", "quay", "zot", "ecr", "ghcr", "docker-hub", "azure", "artifactory", "limiting-proxy"}
)

# Names of profiles, with the rule that does not hold there yet.
PREVIEWING = {"quay": "BEHAVIOUR 3.4: a repository that is not there yet is absent, or not readable, and no failure"}
CANCELLING = dict.fromkeys(
    ("docker-hub", "artifactory"), "BEHAVIOUR 5.6: the session of a form that was refused is cancelled"
)
MISSING = {"quay": "BEHAVIOUR 6.8: a right that is missing, by the token's actions, has a code of its own"}


def over(chosen: Iterable[Profile] = EVERY, *, not_yet: Mapping[str, str] | None = None) -> pytest.MarkDecorator:
    """Run a test over profiles; `not_yet` names those on which a rule does not hold yet."""
    reasons = dict(not_yet or {})
    cases = [pytest.param(profile, id=profile.name, marks=_marks(reasons.get(profile.name))) for profile in chosen]
    return pytest.mark.parametrize("profile", cases)


def _marks(reason: str | None) -> tuple[pytest.MarkDecorator, ...]:
    return () if reason is None else (pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason),)
