"""A push that waits says so in Flower, in `status` and in the metrics: for what, since when (BEHAVIOUR 8.3, 8.6)."""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import redis

from tasks import contract
from tasks.coordination.redis.leases import Leases
from tasks.coordination.redis.tag_locks import LeasedTagLocks
from tests.integration.observability.conftest import address_of, scrape
from tests.support.flower import Flower
from tests.support.images import Index, image, index
from tests.support.processes import free_port, wait_until
from tests.support.profiles import profiles
from tests.support.profiles.answers import error
from tests.support.profiles.server import ProfileRegistry
from tests.support.redis_server import RedisServer
from tests.support.scripted import Answer
from tests.support.workers import Worker, running_worker
from workers.broker.app import KEY_PREFIX
from workers.client.interface import Client
from workers.client.open import open_client
from workers.settings import load_settings

USER, PASSWORD = "robot", "secret"
LATER = Answer(429, {"Retry-After": "300"}, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}')
QUOTA_OF_PULLS = error(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.")
READ_ONLY = error(405, "DENIED", "System is currently read-only.")
MANY = 50


@dataclass(frozen=True)
class Scene:
    """Workers, a Flower that watches them, a source and a destination."""

    client: Client
    flower: Flower
    worker: Worker
    redis: redis.Redis
    source: ProfileRegistry
    registry: ProfileRegistry
    name: str

    @property
    def repository(self) -> str:
        return f"{self.name}/app"

    def index(self) -> Index:
        return index([image("linux/amd64"), image("linux/arm64")])

    def request(self, *, atomic: bool = False) -> dict[str, Any]:
        self.source.put(f"{self.name}/src", self.index(), "1")
        destinations = {f"{self.registry.host}/{self.repository}": ["1"]}
        request = {"items": [{"source": f"{self.source.host}/{self.name}/src:1", "destinations": destinations}]}
        return request | ({"atomic": "push"} if atomic else {})

    def progress(self, push_id: str) -> contract.Progress:
        return next(each for each in self.client.pushes() if each.push_id == push_id)

    def row(self, task_id: str) -> dict[str, Any]:
        """Return what Flower knows of a task, nothing before the task's first event."""
        answer = self.flower.get(f"/api/task/info/{task_id}")
        found: dict[str, Any] = answer.json() if answer.ok else {}
        return found

    def copies(self) -> list[dict[str, Any]]:
        tasks = self.flower.get("/api/tasks").json().values()
        return [each for each in tasks if each["name"] == contract.COPY_TASK and f"/{self.name}/" in str(each["args"])]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as running:
        server = running.enter_context(RedisServer())
        source = running.enter_context(ProfileRegistry(profiles.STRICT))
        registry = running.enter_context(ProfileRegistry(profiles.QUAY, users={USER: PASSWORD}))
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        auth_file = tmp_path_factory.mktemp("flower") / "auth.json"
        auth_file.write_text(json.dumps({"auths": {registry.host: {"auth": login}}}))
        settings = {
            "REGISTRY_AUTH_FILE": str(auth_file),
            "IMAGEPUSHER_BROKER_URL": server.url,
            "IMAGEPUSHER_METRICS_ADDRESS": "127.0.0.1:0",
            "IMAGEPUSHER_REGISTRY_SHARE": "1.0",
        }
        worker = running.enter_context(running_worker(settings))
        flower = running.enter_context(Flower(settings))
        client = running.enter_context(open_client(load_settings(settings)))
        connection = running.enter_context(redis.Redis(port=server.port))
        yield Scene(client, flower, worker, connection, source, registry, "")


@pytest.fixture
def scene(fleet: Scene, name: str) -> Iterator[Scene]:
    """A limit of a registry counts for all pushes: each test has registries of its own."""
    with ProfileRegistry(profiles.STRICT) as source, ProfileRegistry(profiles.STRICT) as registry:
        yield replace(fleet, source=source, registry=registry, name=name)


Hindrance = Callable[[Scene], AbstractContextManager[object]]


@contextmanager
def pulls_are_limited_for_long(scene: Scene) -> Iterator[None]:
    scene.source.gates.inject("GET", f"/{scene.name}/.*/manifests/1", *[LATER] * MANY)
    yield


@contextmanager
def the_quota_of_pulls_is_used_up(scene: Scene) -> Iterator[None]:
    scene.source.gates.inject("GET", f"/{scene.name}/.*/manifests/1", *[QUOTA_OF_PULLS] * MANY)
    yield


@contextmanager
def blobs_are_limited_for_long(scene: Scene) -> Iterator[None]:
    scene.source.gates.inject("GET", f"/{scene.name}/.*/blobs/", *[LATER] * MANY)
    yield


@contextmanager
def uploads_are_limited_for_long(scene: Scene) -> Iterator[None]:
    scene.registry.gates.inject("POST", f"/{scene.name}/.*/uploads/", *[LATER] * MANY)
    yield


@contextmanager
def tags_are_limited_for_long(scene: Scene) -> Iterator[None]:
    scene.registry.gates.inject("PUT", f"/{scene.name}/.*/manifests/1", *[LATER] * MANY)
    yield


@contextmanager
def the_destination_takes_no_blobs(scene: Scene) -> Iterator[None]:
    scene.registry.gates.inject("POST", f"/{scene.name}/.*/uploads/", *[READ_ONLY] * MANY)
    yield


@contextmanager
def the_destination_takes_no_tags(scene: Scene) -> Iterator[None]:
    scene.registry.gates.inject("PUT", f"/{scene.name}/.*/manifests/1", *[READ_ONLY] * MANY)
    yield


@contextmanager
def another_push_holds_the_tag(scene: Scene) -> Iterator[None]:
    with LeasedTagLocks(Leases(scene.redis, 60), KEY_PREFIX, 5).hold(f"{scene.registry.host}/{scene.repository}:1"):
        yield


PLANS, COPIES, TAGS = "plan", "copy", "tags"
KINDS = [
    (pulls_are_limited_for_long, PLANS, "rate_limited", "slow down"),
    (the_quota_of_pulls_is_used_up, PLANS, "rate_limited", "You have reached your pull rate limit"),
    (blobs_are_limited_for_long, COPIES, "rate_limited", "slow down"),
    (uploads_are_limited_for_long, COPIES, "rate_limited", "slow down"),
    (the_destination_takes_no_blobs, COPIES, "registry_read_only", "System is currently read-only"),
    (tags_are_limited_for_long, TAGS, "rate_limited", "slow down"),
    (the_destination_takes_no_tags, TAGS, "registry_read_only", "System is currently read-only"),
    (another_push_holds_the_tag, TAGS, "lock_unavailable", "is held by another push"),
]


def assert_shown(scene: Scene, push_id: str, code: str, words: str, begun: float) -> None:
    """Assert that status, Flower and metrics agree on what a push waits for, and since when."""
    wait_until(lambda: scene.row(push_id).get("state") == "WAITING", "Flower does not show that the push waits")
    shown = scene.row(push_id)["result"]
    progress = scene.progress(push_id)
    assert progress.state == "waiting"
    assert progress.waiting is not None
    assert progress.waiting.reason.code == code
    assert words in progress.waiting.reason.message
    assert begun <= progress.waiting.since <= time.time()
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(progress.waiting.since))
    assert re.match(rf"since {since}, until \d\d:\d\d:\d\d UTC: \[{code}\] ", shown), shown
    assert words in shown
    assert PASSWORD not in shown
    wait_until(
        lambda: scrape(address_of(scene.worker)).total("imagepusher_longest_wait_seconds", reason=code) > 0,
        "the metrics do not tell that a push waits",
    )


@pytest.mark.parametrize("atomic", [False, True], ids=["single", "release"])
@pytest.mark.parametrize(("hinder", "part", "code", "words"), KINDS, ids=[kind[0].__name__ for kind in KINDS])
def test_a_push_that_waits_says_for_what_and_since_when(
    scene: Scene, hinder: Hindrance, part: str, code: str, words: str, atomic: bool
) -> None:
    request, push_id, begun = scene.request(atomic=atomic), f"waits-{scene.name}", time.time()
    with hinder(scene):
        scene.client.send(request, push_id)
        assert_shown(scene, push_id, code, words, begun)
        if part == COPIES:
            assert {each["state"] for each in scene.copies()} & {"WAITING"}


@pytest.mark.parametrize("atomic", [False, True], ids=["single", "release"])
def test_a_push_into_a_new_repository_of_a_quay_that_is_read_only_waits(fleet: Scene, name: str, atomic: bool) -> None:
    scene, push_id, begun = replace(fleet, name=name), f"waits-{name}", time.time()
    request = scene.request(atomic=atomic)
    with scene.registry.maintenance():
        scene.client.send(request, push_id)
        assert_shown(scene, push_id, "registry_read_only", "System is currently read-only", begun)


@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_push_whose_registry_cannot_be_reached_says_so(scene: Scene, side: str) -> None:
    push_id, begun = f"waits-{scene.name}", time.time()
    gone = f"127.0.0.1:{free_port()}"
    there = scene.source if side == "source" else scene.registry
    request = json.loads(json.dumps(scene.request()).replace(there.host, gone))
    scene.client.send(request, push_id)
    assert_shown(scene, push_id, "registry_unavailable", "connection refused", begun)


def test_a_push_that_goes_on_is_no_longer_shown_as_waiting(scene: Scene) -> None:
    """With the tag of another push: it goes on as soon as that has ended."""
    push_id = f"waits-{scene.name}"
    request = scene.request()
    with another_push_holds_the_tag(scene), scene.registry.gates.hold("PUT", f"/{scene.name}/.*/manifests/1") as gate:
        scene.client.send(request, push_id)
        wait_until(lambda: scene.row(push_id).get("state") == "WAITING", "the push does not wait")
        scene.redis.delete(f"{KEY_PREFIX}tag:{scene.registry.host}/{scene.repository}:1")
        gate.wait()
        wait_until(lambda: scene.row(push_id)["state"] == "PROGRESS", "Flower does not show that the push goes on")
        assert (scene.progress(push_id).state, scene.progress(push_id).waiting) == ("publishing", None)
        assert (
            scrape(address_of(scene.worker)).value("imagepusher_longest_wait_seconds", reason="lock_unavailable") == 0
        )
    assert scene.client.wait(push_id).state == "succeeded"
    wait_until(lambda: scene.row(push_id)["state"] == "SUCCESS", "Flower does not show that the push has ended")
