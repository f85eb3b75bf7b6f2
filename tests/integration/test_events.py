"""What comes after a push: each tag that moved is told to a Celery task and to plug-ins, at least once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from celery import Celery

from tests.support import commands
from tests.support.chaos import Arms
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Image, Index, attestation, image, index, layer
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import command, environment, running_worker

QUEUE: Final = "signing"
_DEADLINE: Final = 300.0

# Somebody's own program: it knows the name of a task of its own, the broker, and the prefix of our keys.
_CONSUMER: Final = """
import json, os
from celery import Celery

app = Celery("signer", broker=os.environ["BROKER"])
app.conf.broker_transport_options = {"global_keyprefix": "imagepusher:"}

@app.task(name="signer.tag_moved")
def tag_moved(event):
    with open(os.environ["EVENTS"], "a") as file:
        file.write(json.dumps(event) + "\\n")
"""

_PLUGINS: Final = """
import json, os

def good(event):
    with open(os.environ["PLUGGED"], "a") as file:
        file.write(json.dumps(event) + "\\n")

def bad(event):
    event.clear()
    raise ValueError("this plug-in never works")
"""

# They are called in the order of their names.
_ENTRY_POINTS: Final = """
[imagepusher.tag_moved]
a_bad = somebody_elses_plugins:bad
b_broken = somebody_elses_plugins:missing
c_good = somebody_elses_plugins:good
"""


# What a worker that was killed left is taken over soon.
_IMPATIENT: Final = {"IMAGEPUSHER_STALL_SECONDS": "1.5", "IMAGEPUSHER_LOCK_SECONDS": "1.5"}


@dataclass(frozen=True)
class Scene:
    """A broker whose worker tells a consumer and plug-ins of tags that moved, and two registries."""

    folder: Path
    producer: Celery
    a: DistributionRegistry
    b: DistributionRegistry
    log: Any

    def put(self, node: Image | Index, name: str, tag: str = "1") -> str:
        upload(self.a.host, f"{name}/src", node, tag)
        return f"{self.a.host}/{name}/src:{tag}"

    def push(self, *items: dict[str, Any]) -> dict[str, Any]:
        """Push and return the report, whatever came of it."""
        result = self.producer.send_task("imagepusher.push.v1", [{"items": items}], queue="imagepusher.push")
        found = result.get(timeout=_DEADLINE, propagate=False)
        report: dict[str, Any] = found.args[1] if isinstance(found, Exception) else found
        return report

    def item(self, source: str, name: str, *tags: str, **options: Any) -> dict[str, Any]:
        return {"source": source, "destinations": {f"{self.b.host}/{name}/dst": list(tags)}} | options

    def events(self, push_id: str, file: str = "events") -> list[dict[str, Any]]:
        """Return the events of a push so far, oldest first."""
        return [event for event in self.all_events(file) if event["push_id"] == push_id]

    def all_events(self, file: str = "events") -> list[dict[str, Any]]:
        path = self.folder / file
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, push_id: str, count: int, file: str = "events") -> dict[str, dict[str, Any]]:
        """Return the events of a push by tag when there are so many, and no more of them."""
        wait_until(lambda: len(self.events(push_id, file)) >= count, f"not told {count} times: {self.log()}")
        found = {event["tag"]: event for event in self.events(push_id, file)}
        assert len(self.events(push_id, file)) == len(found) == count
        return found


@contextmanager
def consumer(folder: Path, url: str) -> Iterator[None]:
    """Run a worker of an application that has never heard of the project."""
    (folder / "consumer.py").write_text(_CONSUMER)
    program = [sys.executable, "-m", "celery", "-A", "consumer", "worker", "--pool=solo", f"--queues={QUEUE}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IMAGEPUSHER_")}
    variables = {"BROKER": url, "EVENTS": str(folder / "events")}
    with (folder / "consumer.log").open("wb") as log:
        process = subprocess.Popen(
            [*program, "--without-mingle", "--without-gossip", "--without-heartbeat"],
            cwd=folder, env=environment | variables, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(300)


def install_plugins(folder: Path) -> Mapping[str, str]:
    """Install a distribution with plug-ins into a folder, and return the environment that finds them."""
    (folder / "somebody_elses_plugins.py").write_text(_PLUGINS)
    information = folder / "somebody_elses_plugins-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody-elses-plugins\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(_ENTRY_POINTS)
    return {"PYTHONPATH": str(folder), "PLUGGED": str(folder / "plugged")}


def producer_of(url: str) -> Celery:
    app = Celery("somebody", broker=url, backend=url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": "imagepusher:"}
    app.conf.result_backend_transport_options = {"global_keyprefix": "imagepusher:"}
    return app


@contextmanager
def open_scene(
    folder: Path,
    url: str,
    a: DistributionRegistry,
    b: DistributionRegistry,
    *,
    workers: int = 1,
    arms_url: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Scene]:
    settings = {
        "IMAGEPUSHER_BROKER_URL": url,
        "IMAGEPUSHER_EVENTS_TASK": "signer.tag_moved",
        "IMAGEPUSHER_EVENTS_QUEUE": QUEUE,
        **(environment or {}),
    }
    with consumer(folder, url), ExitStack() as running:
        started = [running.enter_context(running_worker(settings, arms_url=arms_url)) for _ in range(workers)]
        yield Scene(folder, producer_of(url), a, b, lambda: "".join(worker.log() for worker in started))


@pytest.fixture(scope="module")
def scene(
    redis_server: RedisServer,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """Share a worker that has plug-ins."""
    folder = tmp_path_factory.mktemp("events")
    url = f"{redis_server.url.removesuffix('/0')}/5"
    with open_scene(folder, url, registry_a, registry_b, environment=install_plugins(folder)) as opened:
        yield opened


def of(name: str, architecture: str) -> Image:
    return image(f"linux/{architecture}", [layer(f"{name}-{architecture}", 1000)])


def test_each_tag_that_moved_is_told_once_with_all_that_signing_it_needs(scene: Scene, name: str) -> None:
    amd64, arm64, s390x = (of(name, architecture) for architecture in ("amd64", "arm64", "s390x"))
    source = index([amd64, arm64, attestation(amd64)])
    held = index([s390x, arm64])
    upload(scene.b.host, f"{name}/dst", held, "merged")
    report = scene.push(scene.item(scene.put(source, name), name, "new", "merged"))
    assert report["state"] == "succeeded"
    told = scene.wait_for(report["push_id"], 2)
    destination = f"{scene.b.host}/{name}/dst"
    common = {
        "push_id": report["push_id"],
        "repository": destination,
        "source": f"{scene.a.host}/{name}/src:1",
        "source_digest": source.digest,
        "kind": "multi-arch",
    }
    ours = {"linux/amd64": amd64.digest, "linux/arm64": arm64.digest}
    assert told["new"] == common | {
        "reference": f"{destination}:new",
        "tag": "new",
        "action": "copied",
        "old_digest": None,
        "new_digest": source.digest,
        "platforms": ours,
        "unsigned": [],
    }
    merged = report["items"][0]["tags"][1]
    assert told["merged"] == common | {
        "reference": f"{destination}:merged",
        "tag": "merged",
        "action": "merged",
        "old_digest": held.digest,
        "new_digest": merged["new_digest"],
        "platforms": ours | {"linux/s390x": s390x.digest},
        "unsigned": [merged["new_digest"]],
    }


def test_a_single_image_is_told_with_its_own_platform(scene: Scene, name: str) -> None:
    only = of(name, "arm64")
    report = scene.push(scene.item(scene.put(only, name), name, "1"))
    event = scene.wait_for(report["push_id"], 1)["1"]
    assert (event["kind"], event["platforms"]) == ("single-arch", {"linux/arm64": only.digest})


def test_nothing_is_told_of_tags_that_did_not_move(scene: Scene, name: str) -> None:
    source = scene.put(index([of(name, "amd64")]), name)
    first = scene.push(scene.item(source, name, "1"))
    scene.wait_for(first["push_id"], 1)
    second = scene.push(
        scene.item(source, name, "1", "2"), scene.item(f"{scene.a.host}/{name}/src:missing", f"{name}/other", "3")
    )
    assert [tag["action"] for item in second["items"] for tag in item["tags"]] == ["unchanged", "copied", "failed"]
    # Both are told of before the push ends: what was told of the tag that moved is all there is.
    assert list(scene.wait_for(second["push_id"], 1)) == ["2"]


def test_a_tag_is_told_again_after_its_worker_was_killed_between_writing_and_noting_it(
    redis_server: RedisServer,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    tmp_path: Path,
    name: str,
) -> None:
    """Rule 7.4."""
    url, arms_url = (f"{redis_server.url.removesuffix('/0')}/{number}" for number in (6, 7))
    with (
        redis.Redis.from_url(arms_url) as client,
        open_scene(
            tmp_path, url, registry_a, registry_b, workers=2, arms_url=arms_url, environment=_IMPATIENT
        ) as scene,
    ):
        arms = Arms(client)
        held = index([of(name, "s390x")])
        upload(scene.b.host, f"{name}/dst", held, "merged")
        source = scene.put(index([of(name, "amd64")]), name)
        arms.arm("manifest put", match="('merged'")
        report = scene.push(scene.item(source, name, "new", "merged"))
        assert [(acted.point, acted.act) for acted in arms.acted()] == [("manifest put", "kill")]
        tags = [tag["reference"].rpartition(":")[2] for item in report["items"] for tag in item["tags"]]
        wait_until(lambda: {event["tag"] for event in scene.events(report["push_id"])} == set(tags), scene.log())
        merged = report["items"][0]["tags"][1]
        for event in scene.events(report["push_id"]):
            if event["tag"] == "merged":
                assert (event["action"], event["old_digest"]) == ("merged", held.digest)
                assert event["new_digest"] == merged["new_digest"]
        arms.clear()


@pytest.mark.parametrize("tag", ["new", "merged"])
def test_a_push_without_a_broker_that_was_killed_after_its_tag_moved_says_so_when_it_is_run_again(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, tmp_path: Path, name: str, tag: str
) -> None:
    """Rule 7.7: the registry stored the tag, and the command was killed before it heard of that."""
    held = index([of(name, "s390x")])
    upload(registry_b.host, f"{name}/dst", held, "merged")
    upload(registry_a.host, f"{name}/src", index([of(name, "amd64")]), "1")
    stored = Stored(registry_b.host)
    before = stored.digest(f"{name}/dst", tag)
    settings = {"IMAGEPUSHER_STATE_DIR": str(tmp_path / "state"), **install_plugins(tmp_path)}
    stalled = Chosen(Fault(Kind.STALL_ANSWER, "PUT", f"/manifests/{tag}$", at=0.0))
    with FaultyProxy(registry_b.host, stalled) as b:
        places = f"{registry_a.host}/{name}/src:1", f"{b.host}/{name}/dst:{tag}"
        asked = ("copy", *places, "--push-id", f"{name}-killed", "-o", "json", "-q")
        process = subprocess.Popen(command(*asked), env=environment(settings), stdout=subprocess.DEVNULL)
        wait_until(lambda: stored.digest(f"{name}/dst", tag) != before, "the tag was not written")
        process.kill()
        assert process.wait() == -signal.SIGKILL
        written = stored.digest(f"{name}/dst", tag)
        again = commands.run(*asked, settings=settings)
    assert again.code == 0, again.stderr
    (report,) = again.document["items"][0]["tags"]
    merged = tag == "merged"
    assert (report["action"], report["new_digest"]) == ("merged" if merged else "copied", written)
    assert report["old_digest"] == (held.digest if merged else None)
    assert report["kept_platforms"] == (["linux/s390x"] if merged else [])
    protective = report["protective_tag"]
    assert (stored.digest(f"{name}/dst", protective) == written) if merged else protective is None
    told = [json.loads(line) for line in (tmp_path / "plugged").read_text().splitlines()]
    assert [(event["tag"], event["action"], event["old_digest"], event["new_digest"]) for event in told] == [
        (tag, report["action"], report["old_digest"], written)
    ]


def test_plug_ins_get_the_same_and_those_that_raise_or_cannot_be_loaded_stop_nothing(scene: Scene, name: str) -> None:
    report = scene.push(scene.item(scene.put(index([of(name, "amd64")]), name), name, "1", "2"))
    assert report["state"] == "succeeded"
    told = scene.wait_for(report["push_id"], 2)
    assert scene.wait_for(report["push_id"], 2, "plugged") == told
    log = scene.log()
    assert "this plug-in never works" in log
    assert "b_broken" in log
