"""A registry that serves again is waited for, and what it says of itself is passed on (BEHAVIOUR 8.6, 6.8)."""

import threading
import uuid

import pytest

from tasks.celery_glue import retry_decision
from tasks.contract import Progress, PushReport
from tasks.registry.http import refusal
from tests.acceptance.profiles.cases import over
from tests.acceptance.profiles.conftest import Scene
from tests.support.processes import wait_until
from tests.support.profiles import profiles
from tests.support.profiles.answers import page
from tests.support.scripted import Answer

PAGE = page(503, "Down for maintenance")
SOON = Answer(503, {"Retry-After": "1"})


@over([profiles.STRICT, profiles.QUAY])
@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize("said", [PAGE, SOON], ids=["page", "Retry-After"])
def test_a_push_waits_for_a_registry_that_is_not_even_read(
    scene: Scene, side: str, said: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 8.6: as it does for one that takes no writes."""
    monkeypatch.setattr(refusal, "_MAINTENANCE_SECONDS", 0.1)
    monkeypatch.setattr(retry_decision, "_MAINTENANCE_PAUSE", 0.1)
    source = scene.index("linux/amd64")
    push_id, request = str(uuid.uuid4()), scene.request(scene.offer(source), "1")
    away = scene.source if side == "source" else scene.registry
    away.down = said
    waits: list[Progress] = []

    def is_waiting() -> bool:
        waits[:] = [each for each in scene.client.pushes() if each.push_id == push_id and each.waiting is not None]
        return bool(waits)

    scene.client.send(request, push_id)
    wait_until(is_waiting, "the push does not wait")
    waiting = waits[0].waiting
    assert waiting is not None
    assert (waits[0].state, waiting.reason.code, waiting.reason.side) == ("waiting", "registry_read_only", side)
    assert f"{away.host}/" in waiting.reason.message
    away.down = None
    assert scene.client.wait(push_id).state == "succeeded"
    scene.assert_whole("1", source.digest)


@over([profiles.QUAY, profiles.HARBOR])
def test_a_push_waits_while_a_registry_is_under_maintenance(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 8.6: it says so, with the reason and since when, and goes on by itself.

    In a repository that is still to be made, which Quay refuses as it is asked for the token.
    """
    monkeypatch.setattr(refusal, "_MAINTENANCE_SECONDS", 0.3)
    source = scene.index("linux/amd64", "linux/arm64")
    request = scene.request(scene.offer(source), "1")
    push_id = str(uuid.uuid4())
    reports: list[PushReport] = []

    def push() -> None:
        scene.client.send(request, push_id)
        reports.append(scene.client.wait(push_id))

    seen: list[Progress] = []

    def is_waiting() -> bool:
        seen[:] = [each for each in scene.client.pushes() if each.push_id == push_id]
        return any(each.state == "waiting" for each in seen)

    pushing = threading.Thread(target=push)
    with scene.registry.maintenance():
        pushing.start()
        wait_until(is_waiting, "the push does not wait")
        (waiting,) = (each.waiting for each in seen)
        assert waiting is not None
        assert (waiting.reason.code, waiting.reason.side) == ("registry_read_only", "destination")
        assert scene.profile.state.read_only.message.partition(".")[0] in waiting.reason.message
        assert waiting.since <= waiting.until
        assert not reports
        # It looks again and again, and goes on waiting.
        looked = len(scene.registry.requests())
        wait_until(lambda: len(scene.registry.requests()) > looked + 1, "the push does not look again")
        assert not reports
        assert scene.registry.tags(scene.repository) == {}
    pushing.join()
    (report,) = reports
    assert report.state == "succeeded"
    scene.assert_whole("1", source.digest)
    (ended,) = (each for each in scene.client.pushes() if each.push_id == push_id)
    assert (ended.state, ended.waiting) == ("succeeded", None)


@over([profiles.QUAY])
def test_a_dry_run_into_a_new_repository_does_not_wait_for_maintenance(scene: Scene) -> None:
    """Rule 3.4: it asks for pull only, and moves nothing."""
    request = scene.request(scene.offer(scene.index("linux/amd64")), "1")
    with scene.registry.maintenance():
        plan = scene.client.preview(request)
    assert [tag.action for item in plan.items for tag in item.tags] == ["copied"]


@over([profiles.CHATTY])
def test_a_warning_of_a_registry_is_in_the_report_once(scene: Scene) -> None:
    """Rule 6.8: however many of its answers carry it (RFC 7234, 5.5: 299)."""
    request = scene.request(scene.offer(scene.index("linux/amd64", "linux/arm64")), "1", "2")
    report = scene.push(request)
    assert report.state == "succeeded"
    told = [warning for warning in report.warnings if str(profiles.CHATTY.warning) in warning]
    assert len(told) == 1
    assert scene.registry.host in told[0]
    assert scene.push(request).warnings == report.warnings
