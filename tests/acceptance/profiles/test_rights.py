"""What a user may do at some of the repositories of a push (BEHAVIOUR 3.4, 6.2, 6.8, 10.1)."""

from collections.abc import Iterable

import pytest

from tasks.contract import PushReport
from tasks.registry.http import refusal
from tasks.registry.settings import Credentials, RegistrySettings
from tasks.transfer.request.target import Target
from tests.acceptance.profiles.cases import over
from tests.acceptance.profiles.conftest import PASSWORD, USER, Scene
from tests.support.processes import wait_until
from tests.support.profiles import profiles
from tests.support.profiles.answers import document, error

TOKEN = "of-the-api"
BEARERS = [profiles.QUAY, profiles.HARBOR, profiles.GHCR]
QUAY = pytest.mark.parametrize("profile", [profiles.QUAY], ids=["quay"])


def only_app(user: str | None, name: str, asked: Iterable[str]) -> frozenset[str]:
    """Let a user push to one repository, and pull from all."""
    return frozenset(asked) & (frozenset({"pull", "push"}) if name.endswith("/app") else frozenset({"pull"}))


def outcomes(report: PushReport) -> dict[str, str]:
    return {
        tag.reference.partition("/")[2].rpartition("/")[2]: tag.error.code if tag.error else tag.action
        for item in report.items
        for tag in item.tags
    }


@over(BEARERS)
@pytest.mark.parametrize("atomic", [False, True], ids=["single", "release"])
def test_a_user_who_may_push_to_some_repositories_writes_nothing_elsewhere(scene: Scene, atomic: bool) -> None:
    """Known by the token before a byte moves; of a release nothing is copied at all."""
    for name in ("app", "b"):
        scene.registry.put(f"{scene.name}/{name}", scene.image("linux/s390x"), "before")
    scene.registry.policy = only_app
    source = scene.index("linux/amd64")
    request = scene.request(scene.offer(source), "1", repositories=(f"{scene.name}/app", f"{scene.name}/b"))
    report = scene.push(request | ({"atomic": "push"} if atomic else {}))
    written = {write for write in scene.writes() if "/uploads/" in write or "/manifests/" in write}
    assert not any(f"/{scene.name}/b/" in write for write in written)
    assert outcomes(report)["b:1"] == "right_missing"
    if atomic:
        # The release asks whether new tags could be deleted again, by a name and a digest that are not there.
        assert {write for write in written if not write.startswith("DELETE ")} == set()
        assert set(scene.registry.tags(f"{scene.name}/app")) == {"before"}
        return
    assert outcomes(report)["app:1"] == "copied"
    scene.assert_whole("1", source.digest)


@over(BEARERS)
def test_a_right_that_is_taken_away_on_the_way_is_said_to_be_missing(scene: Scene) -> None:
    """The token of the beginning has ended by then."""
    scene.registry.put(scene.repository, scene.image("linux/s390x"), "before")
    request = scene.request(scene.offer(scene.index("linux/amd64")), "1")
    taken = False

    def policy(user: str | None, name: str, asked: Iterable[str]) -> frozenset[str]:
        return frozenset(asked) & (frozenset({"pull"}) if taken else frozenset({"pull", "push"}))

    scene.registry.policy = policy
    push_id = f"push-{scene.name}"
    with scene.registry.gates.hold("PUT", "/manifests/1") as gate:
        scene.client.send(request, push_id)
        gate.wait()
        taken = True
        scene.registry.tokens.revoke()
        gate.open()
        (tag,) = scene.client.wait(push_id).items[0].tags
    assert tag.error is not None
    assert (tag.action, tag.error.code, tag.error.side) == ("failed", "right_missing", "destination")
    assert "only pull" in tag.error.message
    assert "1" not in scene.registry.tags(scene.repository)


def aim(scene: Scene, *repositories: str) -> dict[str, object]:
    """Return a request whose repositories are made by Quay's API."""
    scene.settings.targets[scene.name] = Target(host=scene.registry.host, create="api", visibility="public")
    scene.registry.store.repositories.clear()
    scene.registry.api_tokens = {TOKEN}
    settings = RegistrySettings(credentials=Credentials(USER, PASSWORD), api_token=TOKEN)
    scene.settings.registries.registries[scene.registry.host] = settings
    destinations = {f"{scene.name}/{each}": ["1"] for each in repositories}
    return {
        "target": scene.name,
        "items": [{"source": scene.offer(scene.index("linux/amd64")), "destinations": destinations}],
    }


@QUAY
def test_an_api_that_fails_for_one_repository_leaves_the_others(scene: Scene) -> None:
    """Quay's own words are quoted, and the same push completes what is missing."""
    request = aim(scene, "app", "b", "c")
    scene.registry.gates.inject(
        "POST", "/api/v1/repository", document(400, {"error_message": "Too many private repositories"})
    )
    report = scene.push(request)
    assert sorted(outcomes(report).values()) == ["copied", "copied", "request_refused"]
    (failed,) = (tag.error for tag in report.items[0].tags if tag.error)
    assert "Too many private repositories" in failed.message
    assert len(scene.registry.store.repositories) == 2
    assert sorted(outcomes(scene.push(request)).values()) == ["copied", "unchanged", "unchanged"]
    assert not any(repository.private for repository in scene.registry.store.repositories.values())


@QUAY
def test_an_api_that_is_read_only_is_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 8.6."""
    monkeypatch.setattr(refusal, "_MAINTENANCE_SECONDS", 0.2)
    request, push_id = aim(scene, "app"), f"push-{scene.name}"
    away = error(405, "DENIED", "System is currently read-only. Pulls will succeed but all write operations are …")
    scene.registry.gates.inject("POST", "/api/v1/repository", *[away] * 1000)
    scene.client.send(request, push_id)

    def waits() -> bool:
        return any(each.push_id == push_id and each.state == "waiting" for each in scene.client.pushes())

    wait_until(waits, "the push does not wait")
    scene.registry.gates.clear()
    assert outcomes(scene.client.wait(push_id)) == {"app:1": "copied"}
