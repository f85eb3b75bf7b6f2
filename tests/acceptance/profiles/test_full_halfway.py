"""A namespace that becomes full while a push is under way (BEHAVIOUR 6.8, 10.1)."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tasks.contract import PushReport, TagReport
from tasks.transfer.publish import unsettled_tags
from tests.acceptance.profiles.cases import over
from tests.acceptance.profiles.conftest import Scene
from tests.support.processes import wait_until
from tests.support.profiles import profiles

FULL = over([profiles.STRICT, profiles.QUAY, profiles.HARBOR])


def fill_at(
    scene: Scene, path: str, request: dict[str, Any], when: Callable[[], bool] = lambda: True
) -> list[TagReport]:
    """Return the tags of a push during whose first PUT to a path the namespace becomes full."""
    reports: list[PushReport] = []
    pushing = threading.Thread(target=lambda: reports.append(scene.push(request)))
    with scene.registry.gates.hold("PUT", path) as gate:
        pushing.start()
        gate.wait()
        wait_until(when, "the other tags do not move")
        scene.registry.quota_bytes = 0
    pushing.join()
    return [tag for item in reports[0].items for tag in item.tags]


def words(scene: Scene) -> str:
    """Return what the registry says of a full namespace."""
    return scene.profile.state.quota.message.partition("{")[0]


@FULL
@pytest.mark.parametrize("atomic", [{}, {"atomic": "push"}], ids=["tags", "release"])
@pytest.mark.parametrize("path", ["/blobs/uploads/", "/manifests/sha256:", "/manifests/2"])
def test_a_tag_that_does_not_move_names_the_quota_and_is_as_it_was(
    scene: Scene, path: str, atomic: dict[str, str]
) -> None:
    old, new = scene.index("linux/arm64", seed="old"), scene.index("linux/amd64")
    for each in ("1", "2"):
        scene.registry.put(scene.repository, old, each)
    before = scene.registry.tags(scene.repository)
    tags = fill_at(scene, path, scene.request(scene.offer(new), "1", "2") | atomic)
    after = scene.registry.tags(scene.repository)
    stayed = [tag for tag in tags if tag.error is not None]
    assert len(stayed) == 2 or (stayed and path == "/manifests/2" and not atomic)
    for tag in stayed:
        name = tag.reference.rpartition(":")[2]
        assert tag.error is not None
        assert tag.error.code in {"quota_exceeded", "withheld"}
        assert words(scene) in tag.error.message or atomic
        assert after[name] == before[name]
        assert scene.registry.lacks(scene.repository, name) == []
    assert any(tag.error and (tag.error.code, tag.error.side) == ("quota_exceeded", "destination") for tag in stayed)
    protective = {tag.protective_tag for tag in tags if tag.error is None}
    assert after.keys() - before.keys() == protective
    assert scene.registry.open_sessions() == []


@FULL
def test_tags_that_moved_before_stay_whole_where_no_release_is_asked_for(scene: Scene) -> None:
    """Rule 6.4: the others fail, and name the quota; the same push again completes them."""
    source = scene.index("linux/amd64")
    repositories = tuple(f"{scene.name}/{each}" for each in ("app", "b"))
    request = scene.request(scene.offer(source), "1", repositories=repositories)
    path = f"{scene.name}/b/manifests/1$"
    first, second = fill_at(scene, path, request, lambda: "1" in scene.registry.tags(repositories[0]))
    assert (first.action, first.error) == ("copied", None)
    assert second.error is not None
    assert (second.action, second.error.code) == ("failed", "quota_exceeded")
    assert scene.registry.tags(repositories[1]) == {}
    scene.registry.quota_bytes = None
    assert scene.push(request).state == "succeeded"
    for each in repositories:
        scene.assert_whole("1", source.digest, each)


@FULL
def test_a_release_is_put_back_as_soon_as_there_is_room(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 10.1: a full namespace takes no tag, not even one that goes back. The push says for what it waits."""
    monkeypatch.setattr(unsettled_tags, "_PAUSE", 0.1)
    old = scene.index("linux/arm64", seed="old")
    for tag in ("1", "2"):
        scene.registry.put(scene.repository, old, tag)
    push_id = str(uuid.uuid4())
    request = scene.request(scene.offer(scene.index("linux/amd64")), "1", "2", "new") | {"atomic": "push"}
    before = scene.registry.tags(scene.repository)
    with scene.registry.gates.hold("PUT", "/manifests/2$") as gate:
        scene.client.send(request, push_id)
        gate.wait()
        scene.registry.quota_bytes = 0

    def waits_for_room() -> bool:
        (found,) = (each for each in scene.client.pushes() if each.push_id == push_id)
        return found.waiting is not None and words(scene) in found.waiting.reason.message

    wait_until(waits_for_room, "the push does not wait for room")
    scene.registry.quota_bytes = None
    report = scene.client.wait(push_id)
    for told in report.items[0].tags:
        assert told.error is not None
        assert told.action in {"rolled_back", "failed", "skipped"}
        assert words(scene) in told.error.message
    assert scene.registry.tags(scene.repository) == before
