"""Pushes to look at: one that succeeded, one that failed in part, and what sends more, from `a` to `b`."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.browser import Browser
from tests.support.images import image, index, layer
from tests.support.page import Page
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.slow_registry import SlowRegistry
from tests.support.stored import upload
from tests.support.workers import running_worker
from workers.client.open import open_client
from workers.ledger import open_ledger
from workers.settings import load_settings

_AXE: Final = "axe-core@4.14.1"


@dataclass(frozen=True)
class Scene:
    """The page in a browser, registries, and pushes by their ids."""

    page: Page
    browser: Browser
    a: DistributionRegistry
    b: DistributionRegistry
    slow: SlowRegistry
    name: str
    settings: dict[str, str]
    good: str = "release-1.4"
    failed: str = "nightly-212"

    @property
    def held(self) -> str:
        """The name of a tag that is on hold."""
        return f"{self.b.host}/{self.name}/frozen:1"

    def open(self, path: str) -> None:
        self.browser.open(f"{self.page.url_with_login}{path}")

    def push(self, push_id: str, *items: dict[str, Any]) -> None:
        with open_client(load_settings(self.settings)) as client:
            client.send({"items": list(items)}, push_id)

    def state(self, push_id: str) -> str:
        answer = self.page.get(f"/pushes/{push_id}")
        return str(answer.json()["state"]) if answer.ok else "unknown"

    def item(self, source: str, *tags: str, repository: str = "app") -> dict[str, Any]:
        return {"source": source, "destinations": {f"{self.b.host}/{self.name}/{repository}": list(tags)}}


@pytest.fixture(scope="module")
def scene(registry_a: DistributionRegistry, registry_b: DistributionRegistry) -> Iterator[Scene]:
    a, b, name = registry_a, registry_b, "page-scene"
    upload(a.host, f"{name}/app", index([image("linux/amd64"), image("linux/arm64")]), "1.3")
    upload(a.host, f"{name}/app", index([image("linux/amd64", [layer("new", 90_000)])]), "1.4")
    upload(a.host, f"{name}/proxy", index([image("linux/amd64", [layer("proxy", 9_000)])]), "1.4")
    sizes = {"linux/amd64": 8_000_000, "linux/arm64": 4_000_000}
    big = index([image(platform, [layer(f"{name}-{platform}", size)]) for platform, size in sizes.items()])
    upload(a.host, f"{name}/big", big, "1")
    with ExitStack() as running:
        server = running.enter_context(RedisServer())
        settings = {"IMAGEPUSHER_BROKER_URL": server.url}
        slow = running.enter_context(SlowRegistry(a.host))
        running.enter_context(running_worker(settings, ["--concurrency", "4", "--name", "watched"]))
        running.callback(slow.released.set)
        page = running.enter_context(Page(settings))
        browser = running.enter_context(Browser())
        scene = Scene(page, browser, a, b, slow, name, settings)
        sources = {each: f"{a.host}/{name}/{each}" for each in ("app", "proxy", "gone")}
        scene.push("release-1.3", scene.item(f"{sources['app']}:1.3", "1.3", "latest"))
        wait_until(lambda: scene.state("release-1.3") == "succeeded", "the first push did not succeed")
        proxy = scene.item(f"{sources['proxy']}:1.4", "1.4", "latest", repository="proxy")
        scene.push(scene.good, scene.item(f"{sources['app']}:1.4", "1.4", "latest"), proxy)
        gone = scene.item(f"{sources['gone']}:1", "nightly", repository="gone")
        scene.push(scene.failed, scene.item(f"{sources['app']}:1.4", "nightly", repository="nightlies"), gone)
        wait_until(lambda: scene.state(scene.good) == "succeeded", "the push did not succeed")
        wait_until(lambda: scene.state(scene.failed) == "partial", "the push did not fail in part")
        with open_ledger(load_settings(settings)) as ledger:
            ledger.hold(scene.held, "audit 6")
        yield scene


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the source of axe-core, which npm fetches for the tests alone."""
    npm = shutil.which("npm")
    assert npm is not None, "npm fetches axe-core: install it (tests/run does)"
    folder: Path = tmp_path_factory.mktemp("axe")
    subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent", _AXE], cwd=folder, check=True, timeout=240)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()
