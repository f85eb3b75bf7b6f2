"""Sites with short limits for the tests that kill, cut and race, and the figures of all of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
import redis

from tests.chaos.site import Fleet, Registry, Site
from tests.support.chaos import Arms
from tests.support.figures import Figures, Section
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry

SETTINGS = """
[http]
connect_timeout = 2
idle_timeout = 5
tries = 5
longest_wait = 1
[limits]
stall_seconds = 1.5
lock_seconds = 1.5
lock_wait_seconds = 10
grace_seconds = 1.5
outage_seconds = 20
"""


@pytest.fixture(scope="session")
def chaos_figures(figures: Figures) -> Section:
    return figures.of("workers killed, brokers cut, pushes racing")


@pytest.fixture(scope="session")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chaos") / "settings.toml"
    path.write_text(SETTINGS)
    return path


class OpenSite(Protocol):
    """Open a site with settings beside the usual ones, on another broker than the Redis of its results if need be."""

    def __call__(self, settings: dict[str, str], *, broker_url: str | None = None) -> Site: ...


MakeSite = Callable[[RedisServer, dict[str, str]], Site]


@contextmanager
def open_site(
    a: DistributionRegistry,
    b: Registry,
    server: RedisServer,
    arms_server: RedisServer,
    settings: dict[str, str],
    figures: Section,
    *,
    concurrency: int = 4,
    broker_url: str | None = None,
) -> Iterator[Site]:
    """Open a site without workers; what runs there is ended with it."""
    urls = {"IMAGEPUSHER_BROKER_URL": broker_url or server.url}
    if broker_url is not None:
        urls["IMAGEPUSHER_RESULT_URL"] = server.url
    settings = urls | settings
    arms_url = f"{arms_server.url.removesuffix('/0')}/9"
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis(port=server.port, socket_timeout=30))
        arms = Arms(stack.enter_context(redis.Redis.from_url(arms_url)))
        arms.clear()
        fleet = Fleet(settings, arms_url, ["--concurrency", str(concurrency)])
        stack.callback(fleet.close)
        yield Site(a, b, urls["IMAGEPUSHER_BROKER_URL"], client, fleet, arms, figures, settings)


@pytest.fixture(scope="module")
def site_redis() -> Iterator[RedisServer]:
    """Share one Redis within a module, with a log that outlives a crash."""
    with RedisServer(appendonly=True) as server:
        yield server


@pytest.fixture(scope="module")
def open_module_site(
    registry_a: DistributionRegistry,
    registry_b: Registry,
    site_redis: RedisServer,
    redis_server: RedisServer,
    settings_file: Path,
    chaos_figures: Section,
) -> Iterator[OpenSite]:
    """Open a site for a module; it takes settings beside the usual ones."""
    with ExitStack() as stack:

        def make(settings: dict[str, str], *, broker_url: str | None = None) -> Site:
            chosen = {"IMAGEPUSHER_CONFIG": str(settings_file)} | settings
            return stack.enter_context(
                open_site(
                    registry_a,
                    registry_b,
                    site_redis,
                    redis_server,
                    chosen,
                    chaos_figures,
                    broker_url=broker_url,
                )
            )

        yield make


@pytest.fixture(scope="module")
def shared_site(open_module_site: OpenSite) -> Site:
    return open_module_site({})


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """Share the workers of a module; nothing is armed, and nothing is left of earlier tests."""
    shared_site.arms.clear()
    shared_site.before.clear()
    yield shared_site
    shared_site.arms.clear()


@pytest.fixture
def make_site(
    registry_a: DistributionRegistry,
    registry_b: Registry,
    redis_server: RedisServer,
    settings_file: Path,
    chaos_figures: Section,
) -> Iterator[MakeSite]:
    """Open a site for a test, on a Redis of its own."""
    with ExitStack() as stack:

        def make(server: RedisServer, settings: dict[str, str]) -> Site:
            chosen = {"IMAGEPUSHER_CONFIG": str(settings_file)} | settings
            return stack.enter_context(open_site(registry_a, registry_b, server, redis_server, chosen, chaos_figures))

        yield make
