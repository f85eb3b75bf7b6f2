"""One tag at which a push works."""

import pytest

from tests.unit.transfer.publish.own_work_site import Site


@pytest.fixture
def site() -> Site:
    return Site()
