"""The profiles that a test runs over, by what they have in common."""

from collections.abc import Iterable

import pytest

from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile

EVERY = tuple(profiles.small(profile) for profile in profiles.ALL)
_VARIANTS = frozenset({"quay-3.11", "distribution-3.1", "harbor-no-mounts", "ecr-create-on-push", "announcing-proxy"})
# One of each product, for tests on which its variants behave alike.
PRODUCTS = tuple(profile for profile in EVERY if profile.name not in _VARIANTS)
# One of each form of upload.
_FORMS = frozenset(
    {
        "strict",
        "quay",
        "zot",
        "ecr",
        "ghcr",
        "docker-hub",
        "azure",
        "artifactory",
        "limiting-proxy",
        "dropping-proxy",
    }
)
UPLOADING = tuple(profile for profile in EVERY if profile.name in _FORMS)


def over(chosen: Iterable[Profile] = EVERY) -> pytest.MarkDecorator:
    """Run a test over profiles."""
    return pytest.mark.parametrize("profile", [pytest.param(profile, id=profile.name) for profile in chosen])
