"""Producers and consumers of the examples run as they are against real workers, each in its own language."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from tests.docs.readme import ROOT, examples, guides, operating, using
from tests.support.certificates import Authority
from tests.support.flower import PASSWORD, USER, Flower
from tests.support.images import image, index, layer
from tests.support.processes import wait_until
from tests.support.redis_forms import RedisByTls
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import environment, running_worker

FLOWER: Final = "Flower's HTTP API"
PRODUCERS: Final = ROOT / "deploy" / "examples" / "producers"
_DEADLINE: Final = 120
# Nothing but Celery can be imported from here.
_ALONE: Final = """
import runpy, sys
sys.modules.update(dict.fromkeys(("tasks", "workers")))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# Each producer with the words before its name; what Go has compiled runs alone.
LANGUAGES: Final = {
    "producer.py": (sys.executable, "-c", _ALONE),
    "producer.sh": ("bash",),
    "producer.mjs": ("node",),
    "producer.go": ("go", "build", "-o"),
}


@dataclass(frozen=True)
class World:
    """What the names in the guides stand for here; the tags of B are new for each test."""

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

    def run(self, *command: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in the folder."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment({"PATH": path, "IMAGEPUSHER_STATE_DIR": str(self.folder / "state"), **(variables or {})}),
            capture_output=True,
            text=True,
            timeout=_DEADLINE,
            check=False,
        )

    def shell(self, text: str) -> str:
        """Run a script in which the names of the guides stand for what is here, and return what it writes."""
        done = self.run("bash", "-euc", self.here(text))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def produce(self, producer: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Let a producer of the examples send the request in the file."""
        language = LANGUAGES[producer]
        if shutil.which(language[0]) is None:
            if "CI" in os.environ:
                pytest.fail(f"{language[0]} is not there: tests/run installs it")
            pytest.skip(f"{language[0]} is not there")
        there = {"BROKER_URL": self.redis.url, "HOME": str(self.folder), **variables}
        command = [*language, str(PRODUCERS / producer)]
        if producer == "producer.go":
            command = [str(self._compiled(language))]
        return self.run(*command, "request.json", variables=there)

    def _compiled(self, compiler: tuple[str, ...]) -> Path:
        """Compile the producer in Go, once for all tests of this process."""
        folder = self.folder.parent / "compiled"
        program = folder / "producer"
        if not program.exists():
            done = self.run(
                *compiler, str(program), str(PRODUCERS / "producer.go"), variables={"GOCACHE": str(folder / "cache")}
            )
            assert done.returncode == 0, done.stderr
        return program

    def request(self) -> dict[str, Any]:
        """Return the request of the guide, without the key that is nobody's."""
        request: dict[str, Any] = json.loads(self.here(using().of("json", "Request and report")[0].text))
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
    """Write the request of the guide."""
    request = world.request()
    path = world.folder / "request.json"
    # Each test is a push of its own.
    path.write_text(json.dumps({key: value for key, value in request.items() if key != "push_id"}))
    return path


def the_only(language: str, section: str) -> str:
    """Return the text of the only block of a section of the examples in a language."""
    (block,) = examples().of(language, section)
    return block.text


def test_every_producer_is_run_and_named() -> None:
    assert {path.name for path in PRODUCERS.iterdir()} - {"__pycache__"} == LANGUAGES.keys()
    rows = examples().rows("Send a push")
    assert [row[0].strip("`").rpartition("/")[2] for row in rows] == list(LANGUAGES)


@pytest.mark.parametrize("producer", LANGUAGES)
def test_a_producer_sends_a_push_and_prints_its_report(
    world: World, source: str, request_file: Path, producer: str
) -> None:
    done = world.produce(producer)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "succeeded"
    assert world.digest("app", "1.2") == world.digest("app", "latest") == source


@pytest.mark.parametrize("producer", LANGUAGES)
def test_a_producer_prints_the_report_of_a_push_that_failed(world: World, request_file: Path, producer: str) -> None:
    done = world.produce(producer)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["state"] == "failed"


@pytest.mark.parametrize("producer", LANGUAGES)
def test_a_producer_tells_that_its_request_was_refused(world: World, producer: str) -> None:
    (world.folder / "request.json").write_text('{"items": [{"source": "nothing"}]}')
    done = world.produce(producer)
    assert (done.returncode, done.stdout) == (2, "")
    assert "destinations" in done.stderr


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RedisServer]]:
    """Run a worker by the settings of the guide, with keys of its own."""
    folder = tmp_path_factory.mktemp("trust")
    for name in ("workers", "ci"):
        (folder / f"{name}.key").write_text(f"{name * 16}\n")
        (folder / f"{name}.key").chmod(0o600)
    (settings,) = operating().of("toml", "Who may push")
    with RedisServer() as server:
        # Tests write below any name of B.
        text = settings.text.replace("redis.example.com", f"127.0.0.1:{server.port}")
        (folder / "settings.toml").write_text(text.replace("registry-b.example.com/prod/*", "*"))
        with running_worker({"IMAGEPUSHER_CONFIG": str(folder / "settings.toml")}):
            yield folder, server


@pytest.mark.parametrize("producer", LANGUAGES)
def test_a_producer_signs_its_pushes(
    world: World, source: str, request_file: Path, trusting: tuple[Path, RedisServer], producer: str
) -> None:
    folder, server = trusting
    there = replace(world, redis=server)
    signed = there.produce(producer, PRODUCER="ci", PRODUCER_KEY_FILE=str(folder / "ci.key"))
    assert signed.returncode == 0, signed.stderr
    assert json.loads(signed.stdout)["producer"] == "ci"
    assert world.digest("app", "1.2") == source


@pytest.mark.parametrize("producer", LANGUAGES)
def test_a_producer_that_does_not_sign_is_told_so(
    world: World, request_file: Path, trusting: tuple[Path, RedisServer], producer: str
) -> None:
    other = replace(world, redis=trusting[1]).produce(producer)
    assert (other.returncode, other.stdout) == (2, "")
    assert "no producer signed it" in other.stderr


class _RedisByTls(RedisByTls):
    """Serve clients without a certificate."""

    def options(self, port: int) -> list[str]:
        return [*super().options(port), "--tls-auth-clients", "no"]


@pytest.mark.parametrize(
    ("producer", "trust"), [("producer.mjs", "NODE_EXTRA_CA_CERTS"), ("producer.go", "SSL_CERT_FILE")]
)
def test_a_producer_speaks_tls(tmp_path: Path, world: World, producer: str, trust: str) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "request.json").write_text("{}")
    with _RedisByTls(authority.certificates()) as server:
        address = f"rediss://127.0.0.1:{server.port}/0"

        def answer() -> None:
            with Redis.from_url(address, ssl_ca_certs=str(authority.path)) as client:
                _, message = client.brpop(["imagepusher:imagepusher.push"], _DEADLINE)
                task_id = json.loads(message)["headers"]["id"]
                result = {"status": "SUCCESS", "result": {"state": "succeeded"}}
                client.set(f"imagepusher:celery-task-meta-{task_id}", json.dumps(result))

        with ThreadPoolExecutor(1) as threads:
            answered = threads.submit(answer)
            done = world.produce(producer, **{"BROKER_URL": address, trust: str(authority.path)})
            assert done.returncode == 0, done.stderr
            answered.result(_DEADLINE)
            distrusted = world.produce(producer, BROKER_URL=address)
            assert distrusted.returncode != 0
            assert "certificate" in distrusted.stderr


def test_a_shell_shows_nobody_its_password() -> None:
    """Processes are listed with their arguments: only the environment has it."""
    text = (PRODUCERS / "producer.sh").read_text()
    assert "REDISCLI_AUTH" in text
    assert " -a " not in text


def test_curl_enqueues_through_flower_which_has_the_report(world: World, source: str, request_file: Path) -> None:
    text = the_only("bash", FLOWER)
    with Flower({"IMAGEPUSHER_BROKER_URL": world.redis.url}) as flower:
        text = text.replace("operator:PASSWORD", f"{USER}:{PASSWORD}").replace(
            "127.0.0.1:5555", f"127.0.0.1:{flower.port}"
        )
        task_id = json.loads(world.shell(text))["task-id"]
        path = f"/api/task/result/{task_id}"
        assert "`/api/task/result/TASK-ID`" in "\n".join(line.text for line in examples().prose)
        wait_until(lambda: _result(flower, path).get("state") == "SUCCESS", "Flower has no report")
        assert _result(flower, path)["result"]["state"] == "succeeded"
    assert world.digest("app", "1.2") == source


def _result(flower: Flower, path: str) -> dict[str, Any]:
    found: dict[str, Any] = flower.get(path).json()
    return found


def test_the_class_of_pubtools_quay_pushes(world: World, source: str) -> None:
    program = the_only("python", "Python in the manner of pubtools-quay")
    done = world.run(sys.executable, "-c", world.here(program))
    assert (done.returncode, done.stdout.split()) == (0, ["succeeded"]), done.stderr
    assert world.digest("prod----app", "1.2") == source


def test_every_python_block_is_run() -> None:
    assert [block.section for guide in guides() for block in guide.of("python")] == [
        "Python in the manner of pubtools-quay"
    ]


def test_a_folder_with_a_module_tasks_of_its_own_sends_pushes_by_name(
    world: World, source: str, request_file: Path
) -> None:
    """What the README advises where the class cannot be imported."""
    (world.folder / "tasks.py").write_text("")
    program = "from tasks.pusher import ContainerImagePusher"
    assert "'tasks' is not a package" in world.run(sys.executable, "-c", program).stderr
    done = world.run(
        sys.executable, str(PRODUCERS / "producer.py"), "request.json",
        variables={"BROKER_URL": world.redis.url, "PYTHONPATH": str(world.folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert world.digest("app", "1.2") == source


def test_a_consumer_that_does_not_have_the_project_is_told_of_tags_that_moved(
    world: World, source: str, request_file: Path
) -> None:
    (export,) = [
        block
        for block in operating().of("bash", "What comes after a push")
        if "IMAGEPUSHER_EVENTS_TASK=signer.tag_moved IMAGEPUSHER_EVENTS_QUEUE=signing" in block.text
    ]
    assert export.text.startswith("export ")
    with (world.folder / "signer.log").open("wb") as log:
        consumer = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "signer", "worker", "--pool=solo", "--without-mingle"],
            cwd=ROOT / "deploy" / "examples" / "events",
            env=environment({"BROKER_URL": world.redis.url, "PYTHONDONTWRITEBYTECODE": "1"}),
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        done = world.produce("producer.py")
        assert done.returncode == 0, done.stderr
        told = rf"{world.b.host}/{world.repository}/app:(?:1\.2|latest): None -> {source}"
        wait_until(
            lambda: len(re.findall(told, (world.folder / "signer.log").read_text())) == 2,
            (world.folder / "signer.log").read_text(),
        )
    finally:
        consumer.terminate()
        consumer.wait(300)
