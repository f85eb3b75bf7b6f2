"""Immutable tags and quotas of which the API of a registry tells count before a byte moves (BEHAVIOUR 10.2)."""

import json
import logging
from dataclasses import replace

import boto3
import pytest
from msgspec import structs

from tasks.contract import TagReport
from tasks.registry.settings import Api, Credentials, RegistrySettings
from tests.acceptance.profiles.cases import over
from tests.acceptance.profiles.conftest import PASSWORD, USER, Scene
from tests.support.forward_proxy import ForwardProxy
from tests.support.profiles import profiles
from tests.support.scripted import Answer, NoAnswer
from workers.client.open import open_client
from workers.settings import Settings

BOTH = over([profiles.QUAY, profiles.HARBOR])
QUAY = over([profiles.QUAY])
HARBOR = over([profiles.HARBOR])
TOKEN = "of-the-api"
# moto takes the other form of the name for one of its own services.
AMAZON = "123456789012.dkr-ecr.eu-west-1.on.aws"
API = "/api/v"


@pytest.fixture
def telling(scene: Scene) -> Scene:
    """Return a scene whose client has access to the API of the registry's product."""
    scene.registry.api_tokens = {TOKEN}
    _give(scene, token=TOKEN) if scene.profile.name == "quay" else _give(scene, api="harbor")
    return scene


def _give(scene: Scene, token: str | None = None, api: Api | None = None, password: str = PASSWORD) -> None:
    settings = RegistrySettings(credentials=Credentials(USER, password), api_token=token, api=api)
    scene.settings.registries.registries[scene.registry.host] = settings


def _questions(scene: Scene) -> list[str]:
    return [f"{each.path}?{each.query}" for each in scene.registry.requests() if each.path.startswith(API)]


def _assert_refused(scene: Scene, tag: TagReport, code: str, *words: str) -> None:
    """Assert that a tag was refused, with these words, before anything was written."""
    assert tag.error is not None
    assert (tag.action, tag.error.code, tag.error.side) == ("failed", code, "destination")
    assert [word for word in words if word not in tag.error.message] == []
    assert scene.writes() == []


@BOTH
@pytest.mark.parametrize("dry_run", [False, True], ids=["push", "dry run"])
def test_an_immutable_tag_is_refused_before_a_byte_moves(telling: Scene, dry_run: bool) -> None:
    scene = telling
    scene.registry.put(scene.repository, scene.index("linux/arm64"), "v1")
    scene.registry.immutable = ("v?",)
    request = scene.request(scene.offer(scene.index("linux/amd64")), "v1", "next")
    (item,) = (scene.client.preview(request) if dry_run else scene.push(request)).items
    refused, other = item.tags
    assert refused.error is not None
    assert (refused.action, refused.error.code, refused.error.side) == ("failed", "tag_immutable", "destination")
    assert f"{scene.registry.host}/{scene.repository}:v1" in refused.error.message
    assert (other.action, other.error) == ("copied", None)
    assert not any("v1" in write for write in scene.writes())


@BOTH
def test_a_push_to_an_immutable_tag_alone_opens_no_upload(telling: Scene) -> None:
    scene = telling
    scene.registry.put(scene.repository, scene.index("linux/arm64"), "v1")
    scene.registry.immutable = ("v?",)
    _assert_refused(scene, scene.push_one(scene.offer(scene.index("linux/amd64")), "v1"), "tag_immutable", "immutable")


@BOTH
def test_what_an_immutable_tag_holds_already_is_unchanged(telling: Scene) -> None:
    scene = telling
    image = scene.index("linux/amd64")
    scene.registry.put(scene.repository, image, "v1")
    scene.registry.immutable = ("v?",)
    assert scene.push_one(scene.offer(image), "v1").action == "unchanged"
    assert _questions(scene) == []


@BOTH
def test_a_new_tag_may_be_written_though_it_cannot_move_again(telling: Scene) -> None:
    telling.registry.immutable = ("v?",)
    assert telling.push_one(telling.offer(telling.index("linux/amd64")), "v1").action == "copied"


@BOTH
@pytest.mark.parametrize("dry_run", [False, True], ids=["push", "dry run"])
def test_a_used_up_quota_is_told_before_a_byte_moves(telling: Scene, dry_run: bool) -> None:
    scene = telling
    scene.registry.put(scene.repository, scene.index("linux/arm64"), "old")
    used = scene.registry.quota_bytes = scene.registry.store.size(scene.name)
    request = scene.request(scene.offer(scene.index("linux/amd64")), "1", "2")
    for item in (scene.client.preview(request) if dry_run else scene.push(request)).items:
        for tag in item.tags:
            _assert_refused(scene, tag, "quota_exceeded", scene.name, f"{used} of {used} bytes")
    assert len(_questions(scene)) == len(set(_questions(scene)))


@BOTH
def test_a_quota_with_room_lets_a_push_through(telling: Scene) -> None:
    scene = telling
    scene.registry.put(scene.repository, scene.index("linux/arm64"), "old")
    scene.registry.quota_bytes = 10 * scene.registry.store.size(scene.name)
    assert scene.push_one(scene.offer(scene.index("linux/amd64"))).action == "copied"


@BOTH
@pytest.mark.parametrize("dry_run", [False, True], ids=["push", "dry run"])
def test_an_image_that_is_larger_than_the_quota_is_refused_before_a_byte_moves(telling: Scene, dry_run: bool) -> None:
    scene = telling
    scene.registry.quota_bytes = 300_000
    index = scene.index("linux/amd64", "linux/arm64")
    size = sum(each["size"] for member in index.members for each in json.loads(member.manifest)["layers"])
    request = scene.request(scene.offer(index), "1", "2")
    for item in (scene.client.preview(request) if dry_run else scene.push(request)).items:
        for tag in item.tags:
            _assert_refused(scene, tag, "quota_exceeded", scene.name, f"{size} bytes", "300000 bytes")
    reads = [each.path for each in scene.source.requests() if each.method == "GET"]
    assert len(reads) == len(set(reads))


@BOTH
def test_what_was_read_for_the_size_is_not_read_again(telling: Scene) -> None:
    scene = telling
    scene.registry.quota_bytes = 1_000_000
    assert scene.push_one(scene.offer(scene.index("linux/amd64", "linux/arm64"))).action == "copied"
    reads = [each.path for each in scene.source.requests() if each.method == "GET" and "/manifests/" in each.path]
    assert len(reads) == len(set(reads)) == 3


@HARBOR
def test_a_full_project_takes_what_it_holds_already(telling: Scene) -> None:
    """Also as the part of an index in another repository of the project."""
    scene = telling
    index = scene.index("linux/amd64", "linux/arm64")
    scene.registry.put(f"{scene.name}/other", index, "1")
    for member in index.members:
        scene.registry.put(scene.repository, member)
    scene.registry.quota_bytes = scene.registry.store.size(scene.name)
    assert scene.push_one(scene.offer(index.members[0])).action == "copied"


@QUAY
def test_the_quota_of_a_user_is_that_of_whom_the_token_belongs_to(telling: Scene) -> None:
    scene = telling
    scene.registry.api_user = scene.name
    scene.registry.put(scene.repository, scene.index("linux/arm64"), "old")
    used = scene.registry.quota_bytes = scene.registry.store.size(scene.name)
    tag = scene.push_one(scene.offer(scene.index("linux/amd64")))
    _assert_refused(scene, tag, "quota_exceeded", f"{used} of {used} bytes")
    assert f"{API}1/user/?" in _questions(scene)


@BOTH
def test_each_question_is_asked_once_for_all_tags(telling: Scene) -> None:
    scene = telling
    tags = [f"t{number}" for number in range(5)]
    for tag in tags:
        scene.registry.put(scene.repository, scene.image("linux/arm64"), tag)
    scene.push(scene.request(scene.offer(scene.index("linux/amd64")), *tags, "new"))
    # One for each tag that is there, one for the quota.
    assert len(_questions(scene)) == len(set(_questions(scene))) == len(tags) + 1


@BOTH
def test_a_registry_without_access_to_its_api_is_not_asked(scene: Scene) -> None:
    scene.registry.put(scene.repository, scene.index("linux/arm64"), "v1")
    assert scene.push_one(scene.offer(scene.index("linux/amd64")), "v1").action == "merged"
    assert _questions(scene) == []


@QUAY
def test_the_api_may_be_left_alone_though_there_is_a_token(scene: Scene) -> None:
    scene.registry.api_tokens = {TOKEN}
    _give(scene, token=TOKEN, api="none")
    scene.registry.put(scene.repository, scene.index("linux/arm64"), "v1")
    assert scene.push_one(scene.offer(scene.index("linux/amd64")), "v1").action == "merged"
    assert _questions(scene) == []


def _json(status: int, body: bytes) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, body)


FAILURES = [
    pytest.param(_json(401, b'{"error_type": "invalid_token", "detail": "expired"}'), id="refused"),
    pytest.param(_json(403, b'{"errors": [{"code": "FORBIDDEN", "message": "not yours"}]}'), id="forbidden"),
    pytest.param(_json(404, b"{}"), id="missing"),
    pytest.param(Answer(429, {"Retry-After": "7200"}), id="too many"),
    pytest.param(Answer(502), id="bad gateway"),
    pytest.param(Answer(200, {"Content-Type": "text/html"}, b"<html><title>Log in</title></html>"), id="a page"),
    pytest.param(_json(200, b"[]"), id="a list"),
    pytest.param(_json(200, b'{"tags": 7, "quotas": [{}], "quota": {"hard": []}}'), id="another form"),
    pytest.param(NoAnswer.DROP, id="nothing"),
]


@BOTH
@pytest.mark.parametrize("reply", FAILURES)
def test_an_api_that_fails_stops_no_push(
    telling: Scene, reply: Answer | NoAnswer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its 429 slows nothing down, and its failure is in the log once for each question."""
    scene = telling
    scene.registry.put(scene.repository, scene.index("linux/arm64"), "v1")
    scene.registry.gates.inject("GET", f"^{API}", *[reply] * 20)
    with caplog.at_level(logging.WARNING, "tasks.registry.preflight"):
        tags = scene.push(scene.request(scene.offer(scene.index("linux/amd64")), "v1", "v2", "v3")).items[0].tags
    assert [(tag.action, tag.error) for tag in tags] == [("merged", None), ("copied", None), ("copied", None)]
    said = [record.getMessage() for record in caplog.records if record.name.startswith("tasks.registry.preflight")]
    assert len(said) == len(set(said)) <= 2
    assert not any(secret in line for line in said for secret in (TOKEN, PASSWORD))
    ends_well = isinstance(reply, Answer) and (reply.status == 404 or reply.body == b"[]")
    assert ends_well or len(said) == 2


@over([replace(profiles.ECR, uploads=replace(profiles.ECR.uploads, relative_location=True))])
@pytest.mark.parametrize("setting", ["IMMUTABLE", "MUTABLE"])
def test_amazon_tells_of_the_rules_of_a_repository(
    scene: Scene, setting: str, amazon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry is found by its name at Amazon, which only a proxy resolves."""
    boto3.client("ecr", region_name="eu-west-1").create_repository(
        repositoryName=scene.repository, imageTagMutability=setting
    )
    scene.registry.put(scene.repository, scene.index("linux/arm64"), "v1")
    scene.registry.immutable = ("v?",) if setting == "IMMUTABLE" else ()
    source = scene.offer(scene.index("linux/amd64"))
    items = [{"source": source, "destinations": {f"{AMAZON}/{scene.repository}": ["v1"]}}]
    with ForwardProxy(ports={AMAZON: int(scene.registry.host.rpartition(":")[2])}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with open_client(_for_amazon(scene.settings), jobs=2) as client:
            client.send({"items": items}, scene.name)
            (tag,) = client.wait(scene.name).items[0].tags
    if setting == "MUTABLE":
        assert (tag.action, tag.error) == ("merged", None)
    else:
        _assert_refused(scene, tag, "tag_immutable", f"{AMAZON}/{scene.repository}:v1", "IMMUTABLE")


def _for_amazon(settings: Settings) -> Settings:
    registry = RegistrySettings(credentials=Credentials(USER, PASSWORD), plain_http=True, api="ecr")
    return structs.replace(
        settings, registries=structs.replace(settings.registries, registries={AMAZON: registry}, proxy="environment")
    )
