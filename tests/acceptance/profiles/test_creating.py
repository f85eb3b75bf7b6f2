"""Who makes a repository that is missing is a setting of the target; nothing moves before that is settled."""

from typing import Any

import pytest

from tasks.contract import TagReport
from tasks.registry.settings import Credentials, RegistrySettings
from tasks.transfer.request.target import Create, Target, Visibility
from tests.acceptance.profiles.cases import PRODUCTS, over
from tests.acceptance.profiles.conftest import PASSWORD, USER, Scene
from tests.support.profiles import profiles

TOKEN = "of-the-api"
QUAY = pytest.mark.parametrize("profile", [profiles.QUAY], ids=["quay"])


def _aim(scene: Scene, create: Create, visibility: Visibility = "private") -> dict[str, Any]:
    """Return a request for a target that makes its repositories so."""
    target = Target(host=scene.registry.host, create=create, visibility=visibility)
    scene.settings.targets[scene.name] = target
    scene.registry.store.repositories.clear()
    scene.registry.api_tokens = {TOKEN}
    settings = scene.settings.registries.registries
    token = TOKEN if scene.profile.access.quay_api else None
    settings[scene.registry.host] = RegistrySettings(credentials=Credentials(USER, PASSWORD), api_token=token)
    source = scene.offer(scene.index("linux/amd64", "linux/arm64"))
    items = [{"source": source, "destinations": {scene.repository: ["1", "2"]}}]
    return {"target": scene.name, "items": items}


def _tags(scene: Scene, request: dict[str, Any]) -> list[TagReport]:
    return [tag for item in scene.push(request).items for tag in item.tags]


@over(PRODUCTS)
def test_a_repository_that_nobody_is_to_make_is_refused_before_a_byte_moves(scene: Scene) -> None:
    """Rule 3.4: not even asked for as one who pushes, which makes it on Quay."""
    tags = _tags(scene, _aim(scene, "never"))
    assert [(tag.action, tag.error and tag.error.code) for tag in tags] == [("failed", "repository_missing")] * 2
    assert scene.writes() == []
    assert scene.registry.store.repositories == {}


@over(PRODUCTS)
def test_a_repository_that_is_there_is_pushed_to_though_nobody_is_to_make_one(scene: Scene) -> None:
    request = _aim(scene, "never")
    scene.registry.put(scene.repository, scene.image("linux/amd64"), "before")
    assert [tag.action for tag in _tags(scene, request)] == ["copied", "copied"]


@QUAY
@pytest.mark.parametrize("visibility", ["private", "public"])
def test_quay_makes_it_by_its_api(scene: Scene, visibility: Visibility) -> None:
    request = _aim(scene, "api", visibility)
    assert [tag.action for tag in _tags(scene, request)] == ["copied", "copied"]
    assert scene.registry.store.repositories[scene.repository].private == (visibility == "private")
    assert scene.writes().count("POST /api/v1/repository") == 1
    assert [tag.action for tag in _tags(scene, request)] == ["unchanged", "unchanged"]
    assert scene.writes().count("POST /api/v1/repository") == 1


@QUAY
def test_a_token_that_may_not_make_it_is_an_error_and_nothing_moves(scene: Scene) -> None:
    """Rule 6.8."""
    request = _aim(scene, "api")
    scene.registry.api_tokens = {"another"}
    tags = _tags(scene, request)
    assert [tag.error and tag.error.code for tag in tags] == ["authentication_refused"] * 2
    assert all("api_token_file" in tag.error.message for tag in tags if tag.error)
    assert scene.registry.store.repositories == {}


@QUAY
def test_a_dry_run_says_what_the_push_would_make(scene: Scene) -> None:
    preview = scene.client.preview(_aim(scene, "api"))
    for tag in preview.items[0].tags:
        assert (tag.action, tag.error) == ("copied", None)
        assert [warning.code for warning in tag.warnings] == ["repository_created"]
    assert scene.writes() == []
    assert scene.registry.store.repositories == {}
