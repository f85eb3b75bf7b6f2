"""Fixtures that every test may use: two real registries and a Redis, each started once, and more on demand."""

import os
import signal
import uuid
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from types import FrameType
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, settings

from tests.support.certificates import Certificates
from tests.support.figures import Figures
from tests.support.parallel import GroupScheduling, rank
from tests.support.redis_server import RedisServer
from tests.support.registries import BasicAuth, DistributionRegistry, TokenAuth

# Where examples are drawn slowly the machine has much else to do: no reason to fail.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("development", _PATIENT)
settings.register_profile("ci", _PATIENT, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "development")


_TEARDOWN_SECONDS = 600
# A registry makes some ten small files and folders for each blob: `tests/run` names a folder in memory for them.
_IN_MEMORY = os.environ.get("TESTS_IN_MEMORY")
_FIGURES = pytest.StashKey[Figures]()
_UNDER_WAY = pytest.StashKey[dict[str, None]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = Figures()
    config.stash[_UNDER_WAY] = {}
    if not hasattr(config, "workerinput") and config.getoption("dist", "no") != "no":
        config.pluginmanager.register(_UnderWay(config.stash[_UNDER_WAY]))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    # The order of the collection counts, not how many tests a group has.
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = session.config.stash[_FIGURES].export()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # A process that crashed has told nothing.
    node.config.stash[_FIGURES].merge(getattr(node, "workeroutput", {}).get("figures", {}))


class _UnderWay:
    """Know which tests the processes of a parallel run are in, for whoever interrupts it."""

    def __init__(self, names: dict[str, None]) -> None:
        self._names = names

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._names[nodeid] = None

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._names.pop(nodeid, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if names := config.stash[_UNDER_WAY]:
        terminalreporter.section("under way when the run ended")
        for name in names:
            terminalreporter.write_line(name)
    if lines := config.stash[_FIGURES].lines():
        terminalreporter.section("done to registries, workers and brokers")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None]:
    # pytest-timeout lets go of a test that failed: nothing else would end a teardown that hangs as its test did.
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        return (yield)
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, _TEARDOWN_SECONDS)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _give_up(_signal: int, _frame: FrameType | None) -> None:
    pytest.fail(f"the teardown has not ended after {_TEARDOWN_SECONDS} s")


class MakeRegistry(Protocol):
    """Start a registry that ends with the test; takes what `DistributionRegistry` takes."""

    def __call__(
        self,
        *,
        auth: BasicAuth | TokenAuth | None = None,
        tls: Certificates | None = None,
        delete: bool = True,
        allow_urls: tuple[str, ...] = (),
        relative_urls: bool = False,
    ) -> DistributionRegistry: ...


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Return the counters that the end of a run shows."""
    return pytestconfig.stash[_FIGURES]


@pytest.fixture(scope="session")
def registry_a() -> Iterator[DistributionRegistry]:
    """Share one plain, anonymous registry, by custom the source; use `name` to keep apart."""
    with DistributionRegistry(parent=_IN_MEMORY) as registry:
        yield registry


@pytest.fixture(scope="session")
def registry_b() -> Iterator[DistributionRegistry]:
    """Share another one, by custom the destination."""
    with DistributionRegistry(parent=_IN_MEMORY) as registry:
        yield registry


@pytest.fixture
def name() -> str:
    """Return a repository name that no other test uses, one component long; `f"{name}/app"` is unique too."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Share one Redis without persistence; a test that needs it empty calls `flush`."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def make_registry() -> Iterator[MakeRegistry]:
    with ExitStack() as running:

        def make(
            *,
            auth: BasicAuth | TokenAuth | None = None,
            tls: Certificates | None = None,
            delete: bool = True,
            allow_urls: tuple[str, ...] = (),
            relative_urls: bool = False,
        ) -> DistributionRegistry:
            registry = DistributionRegistry(
                auth=auth, tls=tls, delete=delete, allow_urls=allow_urls, relative_urls=relative_urls
            )
            return running.enter_context(registry)

        yield make


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let moto answer for Amazon, to a user with credentials."""
    # It takes longer to import than most tests take.
    from moto import mock_aws

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    with mock_aws():
        yield
