"""A namespace that becomes full while a push is under way (BEHAVIOUR 6.8, 10.1)."""

import threading
import uuid
from typing import Any

import pytest

from tasks.contract import PushReport
from tasks.transfer.publish import unsettled
from tests.acceptance.profiles.cases import over
from tests.acceptance.profiles.conftest import Scene
from tests.support.processes import wait_until
from tests.support.profiles import profiles

FULL = over([profiles.STRICT, profiles.QUAY, profiles.HARBOR])


def fill_at(scene: Scene, path: str, request: dict[str, Any]) -> PushReport:
    """Return the report of a push during whose first PUT to a path the namespace becomes full."""
    reports: list[PushReport] = []
    pushing = threading.Thread(target=lambda: reports.append(scene.push(request)))
    with scene.registry.gates.hold("PUT", path) as gate:
        pushing.start()
        gate.wait()
        scene.registry.quota_bytes = 0
    pushing.join()
    (report,) = reports
    return report


@FULL
@pytest.mark.parametrize("atomic", [None, "push"])
@pytest.mark.parametrize("path", ["/blobs/uploads/", "/manifests/sha256:", "/manifests/1"])
def test_no_tag_moves_and_the_quota_is_named(scene: Scene, path: str, atomic: str | None) -> None:
    old = scene.index("linux/arm64", seed="old")
    scene.registry.put(scene.repository, old, "1")
    scene.registry.put(scene.repository, old, "2")
    request = scene.request(scene.offer(scene.index("linux/amd64")), "1", "2", "new")
    before = scene.registry.tags(scene.repository)
    report = fill_at(scene, path, request if atomic is None else request | {"atomic": atomic})
    assert report.state == "failed"
    errors = [tag.error for tag in report.items[0].tags if tag.error is not None]
    full = [error for error in errors if error.code == "quota_exceeded"]
    words = scene.profile.state.quota.message.partition("{")[0]
    assert full
    assert all(error.side == "destination" and words in error.message for error in full)
    assert {error.code for error in errors} <= {"quota_exceeded", "withheld"}
    assert len(errors) == 3
    assert scene.registry.tags(scene.repository) == before
    assert scene.registry.lacks(scene.repository, "1") == []
    assert scene.registry.open_sessions() == []


@FULL
def test_tags_that_moved_before_stay_whole_where_no_release_is_asked_for(scene: Scene) -> None:
    """Rule 6.4: the others fail, and name the quota; the same push again completes them."""
    source = scene.index("linux/amd64")
    repositories = tuple(f"{scene.name}/{each}" for each in ("app", "b"))
    request = scene.request(scene.offer(source), "1", repositories=repositories)
    report = fill_at(scene, f"{scene.name}/b/manifests/1$", request)
    first, second = report.items[0].tags
    assert (first.action, first.error) == ("copied", None)
    assert second.error is not None
    assert (second.action, second.error.code) == ("failed", "quota_exceeded")
    scene.assert_whole("1", source.digest, repositories[0])
    assert scene.registry.tags(repositories[1]) == {}
    scene.registry.quota_bytes = None
    scene.registry.tokens.revoke()
    assert scene.push(request).state == "succeeded"
    scene.assert_whole("1", source.digest, repositories[1])


@FULL
def test_a_release_is_put_back_as_soon_as_there_is_room(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 10.1: a full namespace takes no tag, not even one that goes back. The push says for what it waits."""
    monkeypatch.setattr(unsettled, "_PAUSE", 0.1)
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
    words = scene.profile.state.quota.message.partition("{")[0]

    def waits_for_room() -> bool:
        (found,) = (each for each in scene.client.pushes() if each.push_id == push_id)
        return found.waiting is not None and words in found.waiting.reason.message

    wait_until(waits_for_room, "the push does not wait for room")
    scene.registry.quota_bytes = None
    report = scene.client.wait(push_id)
    assert [(tag.action, tag.error and tag.error.code) for tag in report.items[0].tags] == [
        ("rolled_back", "rolled_back"),
        ("failed", "quota_exceeded"),
        ("skipped", "withheld"),
    ]
    assert {tag: digest for tag, digest in scene.registry.tags(scene.repository).items() if tag in before} == before
    assert "new" not in scene.registry.tags(scene.repository)
