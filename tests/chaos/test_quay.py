"""A race and a storm where a manifest is gone as soon as no tag holds it, as on Quay (BEHAVIOUR 7.6).

They are those of test_tag_lock and test_random, which run here once more against such a registry.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.chaos import test_random, test_tag_lock
from tests.chaos.site import Site
from tests.support.profiles import profiles
from tests.support.profiles.profile import AccessRules
from tests.support.profiles.server import ProfileRegistry

# Without a login: what lives how long is what these tests are about.
PROFILE = replace(profiles.QUAY, name="quay-without-login", access=AccessRules())

unwatched_site = test_tag_lock.unwatched_site
test_a_late_write = test_tag_lock.test_a_worker_that_stood_still_before_its_write_undoes_nothing
running = test_random.running
test_a_storm = test_random.test_fifty_pushes_in_a_storm


@pytest.fixture(scope="module")
def registry_b() -> Iterator[ProfileRegistry]:
    """Take the place of the Distribution registry that sites push to."""
    with ProfileRegistry(PROFILE) as registry:
        yield registry


@pytest.fixture
def any_site(unwatched_site: Site) -> Iterator[Site]:
    yield from test_tag_lock._fresh(unwatched_site)
