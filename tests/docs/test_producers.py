"""Programs in the README that enqueue pushes, or learn what came of them, run as they are against real workers."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.docs.readme import Block, readme
from tests.support.flower import PASSWORD, USER, Flower
from tests.support.images import image, index, layer
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import environment, running_worker

SECTION: Final = "Enqueue from your program"
SIGNING: Final = "Who may push"
EVENTS: Final = "What comes after a push"
_DEADLINE: Final = 300


@dataclass(frozen=True)
class World:
    """What the names in the README stand for here; the tags of B are new for each test."""

    folder: Path
    redis: RedisServer
    a: DistributionRegistry
    b: DistributionRegistry
    repository: str

    def here(self, text: str) -> str:
        moved = {
            "redis.example.com": f"127.0.0.1:{self.redis.port}",
            "registry-a.example.com/build": f"{self.a.host}/{self.repository}",
            "registry-b.example.com/prod": f"{self.b.host}/{self.repository}",
            "registry-b.example.com": self.b.host,
            '"quay_namespace": "example"': f'"quay_namespace": "{self.repository}"',
        }
        for there, stands_for in moved.items():
            text = text.replace(there, stands_for)
        return text

    def run(self, program: list[str], text: str, variables: Mapping[str, str] | None = None) -> str:
        """Run a program that is given as its last argument, and return what it writes to stdout."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [*program, self.here(text)],
            cwd=self.folder,
            env=environment({"PATH": path, "IMAGEPUSHER_STATE_DIR": str(self.folder / "state"), **(variables or {})}),
            capture_output=True,
            timeout=_DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def request(self) -> dict[str, Any]:
        """Return the request of the README, without the key that is nobody's."""
        request: dict[str, Any] = json.loads(self.here(readme().of("json", "Request and report")[0].text))
        for item in request["items"]:
            item.pop("verify", None)
        return request

    def digest(self, repository: str, tag: str) -> str | None:
        return Stored(self.b.host).digest(f"{self.repository}/{repository}", tag)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def worker(redis: RedisServer) -> Iterator[None]:
    settings = {
        "IMAGEPUSHER_BROKER_URL": redis.url,
        "IMAGEPUSHER_EVENTS_TASK": "signer.tag_moved",
        "IMAGEPUSHER_EVENTS_QUEUE": "signing",
    }
    with running_worker(settings):
        yield


@pytest.fixture
def world(
    worker: None,
    redis: RedisServer,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    tmp_path: Path,
    name: str,
) -> World:
    return World(tmp_path, redis, registry_a, registry_b, name)


@pytest.fixture
def source(world: World) -> str:
    """Put the image of the examples into A and return its digest."""
    node = index([image(f"linux/{each}", [layer(f"{world.repository}-{each}", 1000)]) for each in ("amd64", "arm64")])
    upload(world.a.host, f"{world.repository}/app", node, "1.2")
    return node.digest


@pytest.fixture
def request_file(world: World) -> Path:
    """Write the request of the README."""
    request = world.request()
    path = world.folder / "request.json"
    # Each test is a push of its own.
    path.write_text(json.dumps({key: value for key, value in request.items() if key != "push_id"}))
    return path


def only(language: str, section: str, word: str) -> Block:
    """Return the only block of a section that has a word."""
    (block,) = (block for block in readme().of(language, section) if word in block.text)
    return block


def test_every_block_of_the_section_is_run_here() -> None:
    words = {"python": ("send_task", "ContainerImagePusher"), "bash": ("LPUSH", "curl")}
    for language, chosen in words.items():
        blocks = readme().of(language, SECTION)
        assert [only(language, SECTION, word) for word in chosen] == blocks
    assert {block.section for block in readme().of("python")} == {SECTION, SIGNING, EVENTS}


def test_a_python_program_that_does_not_have_the_project_enqueues_and_reads_the_report(
    world: World, source: str
) -> None:
    block = only("python", SECTION, "send_task")
    # Nothing but Celery and Redis can be imported from here.
    alone = f"import sys; sys.modules.update(dict.fromkeys(('tasks', 'workers')))\n{block.text}"
    output = world.run([sys.executable, "-c"], alone)
    assert output.split()[1:] == ["succeeded"]
    assert world.digest("app", "latest") == source


def test_a_python_program_reads_the_report_of_a_push_that_failed(world: World) -> None:
    output = world.run([sys.executable, "-c"], only("python", SECTION, "send_task").text)
    assert output.split()[1:] == ["failed"]


def test_a_python_program_signs_its_pushes(world: World, source: str) -> None:
    """The settings of the README, and the program beside them, with keys of their own."""
    for name in ("workers", "ci"):
        (world.folder / f"{name}.key").write_text(name * 16)
        (world.folder / f"{name}.key").chmod(0o600)
    (settings,) = readme().of("toml", SIGNING)
    with RedisServer() as server:
        there = replace(world, redis=server)
        (world.folder / "settings.toml").write_text(there.here(settings.text))
        with running_worker({"IMAGEPUSHER_CONFIG": str(world.folder / "settings.toml")}):
            (program,) = readme().of("python", SIGNING)
            assert there.run([sys.executable, "-c"], program.text).split() == ["ci"]
    assert world.digest("app", "1.2") == source


def test_a_shell_enqueues_with_redis_cli_and_reads_the_report(world: World, source: str, request_file: Path) -> None:
    output = world.run(["bash", "-euc"], only("bash", SECTION, "LPUSH").text)
    result = json.loads(output)
    assert result["status"] == "SUCCESS"
    assert result["result"]["state"] == "succeeded"
    assert world.digest("app", "1.2") == source


def test_curl_enqueues_through_flower_which_has_the_report(world: World, source: str, request_file: Path) -> None:
    block = only("bash", SECTION, "curl")
    with Flower({"IMAGEPUSHER_BROKER_URL": world.redis.url}) as flower:
        text = block.text.replace("operator:PASSWORD", f"{USER}:{PASSWORD}").replace(
            "127.0.0.1:5555", f"127.0.0.1:{flower.port}"
        )
        task_id = json.loads(world.run(["bash", "-euc"], text))["task-id"]
        path = f"/api/task/result/{task_id}"
        assert "`/api/task/result/TASK-ID`" in "\n".join(line.text for line in readme().prose)
        wait_until(lambda: _result(flower, path).get("state") == "SUCCESS", "Flower has no report")
        assert _result(flower, path)["result"]["state"] == "succeeded"
    assert world.digest("app", "1.2") == source


def _result(flower: Flower, path: str) -> dict[str, Any]:
    found: dict[str, Any] = flower.get(path).json()
    return found


def test_the_class_of_pubtools_quay_pushes(world: World, source: str) -> None:
    block = only("python", SECTION, "ContainerImagePusher")
    assert world.run([sys.executable, "-c"], block.text).split() == ["succeeded"]
    assert world.digest("prod----app", "1.2") == source


def test_a_consumer_that_does_not_have_the_project_is_told_of_tags_that_moved(
    world: World, source: str, request_file: Path
) -> None:
    (world.folder / "signer.py").write_text(world.here(only("python", EVENTS, "tag_moved").text))
    export = only("bash", EVENTS, "export")
    assert "IMAGEPUSHER_EVENTS_TASK=signer.tag_moved IMAGEPUSHER_EVENTS_QUEUE=signing" in export.text
    with (world.folder / "signer.log").open("wb") as log:
        consumer = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "signer", "worker", "--pool=solo", "--without-mingle"],
            cwd=world.folder, env=environment({}), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        world.run(["bash", "-euc"], only("bash", SECTION, "LPUSH").text)
        told = rf"{world.b.host}/{world.repository}/app:(?:1\.2|latest): None -> {source} {{'linux/amd64': "
        wait_until(
            lambda: len(re.findall(told, (world.folder / "signer.log").read_text())) == 2,
            (world.folder / "signer.log").read_text(),
        )
    finally:
        consumer.terminate()
        consumer.wait(300)
