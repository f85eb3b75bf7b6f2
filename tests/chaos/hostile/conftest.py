"""A worker with few places that hostile registries hold up, and its Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import MakeSite
from tests.chaos.hostile.neighbours import PLACES
from tests.chaos.site import Site
from tests.support.redis_server import RedisServer

# Nothing of this ends by itself while a test lasts: whoever waits for a hostile registry waits for good.
SETTINGS = """
[http]
connect_timeout = 10
idle_timeout = 3000
[limits]
jobs = 2
grace_seconds = 0
stall_seconds = 3000
"""


@pytest.fixture
def site(make_site: MakeSite, tmp_path: Path, server: RedisServer) -> Site:
    (tmp_path / "settings.toml").write_text(SETTINGS)
    site = make_site(server, {"IMAGEPUSHER_CONFIG": str(tmp_path / "settings.toml")})
    site.fleet.start(1, "--concurrency", str(PLACES))
    return site


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as started:
        yield started
