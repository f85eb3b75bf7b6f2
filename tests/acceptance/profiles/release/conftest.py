"""The registries of releases."""

from collections.abc import Iterator

import pytest

from tests.acceptance.profiles.release.delivery import PROFILES, TOGETHER
from tests.support.profiles.server import ProfileRegistry


@pytest.fixture(params=PROFILES, ids=lambda profile: profile.name)
def registry(request: pytest.FixtureRequest) -> Iterator[ProfileRegistry]:
    with ProfileRegistry(request.param) as registry:
        yield registry


@pytest.fixture
def together() -> Iterator[ProfileRegistry]:
    """Serve a registry that stores several tags with one request."""
    with ProfileRegistry(TOGETHER) as registry:
        yield registry
