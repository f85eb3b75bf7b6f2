"""Registries that fail, a pusher with short limits, and the figures of all of it."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.chaos.registries.embedded_pusher import EmbeddedPusher
from tests.chaos.registries.scene import Scene
from tests.support.faults import Chosen, Plan
from tests.support.faulty_proxy import FaultyProxy
from tests.support.figures import Figures
from tests.support.registries import DistributionRegistry, TokenAuth
from tests.support.token_server import BearerAuth, TokenServer

_SETTINGS = """
state_dir = "state"
[http]
connect_timeout = 2
idle_timeout = 2.5
commit_timeout = 2.5
tries = 3
longest_wait = 1
[limits]
jobs = 4
lock_wait_seconds = 5
"""


class MakeScene(Protocol):
    """Prepare a push through proxies that follow these plans, by default through honest ones.

    `name` names repositories and content, where a plan that depends on them shall be the same in every run.
    """

    def __call__(
        self,
        at_a: Plan | None = None,
        at_b: Plan | None = None,
        *,
        tokens: bool = False,
        name: str | None = None,
    ) -> Scene: ...


@pytest.fixture(scope="session")
def pusher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPusher]:
    folder = tmp_path_factory.mktemp("pusher")
    settings = folder / "settings.toml"
    settings.write_text(_SETTINGS)
    with EmbeddedPusher({"IMAGEPUSHER_CONFIG": str(settings)}, folder / "log") as running:
        yield running


@pytest.fixture(scope="session")
def token_server() -> Iterator[TokenServer]:
    """Share a token server that lets everybody do everything."""
    with TokenServer(policy=lambda _user, _repository, actions: actions) as server:
        yield server


@pytest.fixture(scope="session")
def registry_of_tokens(token_server: TokenServer) -> Iterator[DistributionRegistry]:
    """Share a registry that wants a token for each request; it is A and B at once."""
    with DistributionRegistry(auth=TokenAuth(token_server)) as registry:
        yield registry


@pytest.fixture(scope="session")
def known_blobs() -> set[Path]:
    return set()


@pytest.fixture
def make_scene(
    request: pytest.FixtureRequest,
    pusher: EmbeddedPusher,
    figures: Figures,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    known_blobs: set[Path],
    name: str,
) -> Iterator[MakeScene]:
    unique, numbers = name, itertools.count()
    with ExitStack() as running:

        def make(
            at_a: Plan | None = None,
            at_b: Plan | None = None,
            *,
            tokens: bool = False,
            name: str | None = None,
        ) -> Scene:
            # Scenes that push at the same time share nothing, not even content.
            own = name or f"{unique}-{next(numbers)}"
            a, b, auth = registry_a, registry_b, None
            if tokens:
                a = b = request.getfixturevalue("registry_of_tokens")
                server: TokenServer = request.getfixturevalue("token_server")
                scopes = [f"repository:{own}/{repository}:pull,push" for repository in ("src", "one", "two")]
                auth = BearerAuth(server.token(None, scopes))
            proxy_a, proxy_b = (
                running.enter_context(FaultyProxy(registry.host, plan or Chosen()))
                for registry, plan in ((a, at_a), (b, at_b))
            )
            scene = Scene(pusher, figures, a, b, proxy_a, proxy_b, own, known_blobs, auth)
            scene.prepare()
            return scene

        yield make
