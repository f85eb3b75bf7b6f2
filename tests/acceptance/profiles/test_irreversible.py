"""A dry run says which tags of a release could not be put back, as the push does (BEHAVIOUR 10.1)."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tasks.contract import TagReport
from tasks.registry.settings import Credentials, RegistrySettings
from tests.acceptance.profiles.conftest import PASSWORD, USER, Scene
from tests.support import images
from tests.support.profiles import profile, profiles
from tests.support.profiles.profile import Profile, TagRules
from tests.support.profiles.store import Manifest
from tests.support.scripted import Answer

WITHOUT_DELETES = replace(profiles.STRICT, name="without-deletes", tags=TagRules(delete="none"))
QUAY = profiles.small(profiles.QUAY)


def over(*chosen: Profile) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("profile", chosen, ids=lambda profile: profile.name)


def release(scene: Scene, **options: Any) -> dict[str, Any]:
    """Return a release to a tag that is there and to a new one."""
    scene.registry.put(scene.repository, scene.index("linux/amd64", seed="old"), "old")
    request = scene.request(scene.offer(scene.index("linux/amd64")), "old", "new")
    request["items"][0] |= options
    return request | {"atomic": "push"}


def told(tags: list[TagReport]) -> dict[str, tuple[str, str | None]]:
    return {tag.reference.rpartition(":")[2]: (tag.action, tag.error.code if tag.error else None) for tag in tags}


@over(WITHOUT_DELETES)
def test_a_new_tag_that_the_registry_would_not_delete(scene: Scene) -> None:
    request = release(scene)
    before = scene.registry.tags(scene.repository)
    (planned,), (done,) = scene.client.preview(request).items, scene.push(request).items
    expected = {"old": ("skipped", "withheld"), "new": ("failed", "irreversible")}
    assert (told(planned.tags), told(done.tags)) == (expected, expected)
    assert planned.tags[1].error == done.tags[1].error
    assert scene.registry.tags(scene.repository) == before


@over(WITHOUT_DELETES)
def test_nothing_is_copied_for_a_release_that_could_not_be_put_back(scene: Scene) -> None:
    request = release(scene)
    repository = scene.registry.store.repositories[scene.repository]
    before = dict(repository.manifests)
    assert scene.push(request).state == "failed"
    assert repository.manifests == before


@over(WITHOUT_DELETES)
def test_a_repository_that_is_absent_tells_nothing(scene: Scene) -> None:
    """The push is refused once the repository is there, and before a tag moves."""
    request = scene.request(scene.offer(scene.index("linux/amd64")), "new") | {"atomic": "push"}
    (planned,), (done,) = scene.client.preview(request).items, scene.push(request).items
    assert told(planned.tags) == {"new": ("copied", None)}
    assert [notice.code for notice in planned.tags[0].warnings] == ["irreversible_unknown"]
    assert told(done.tags) == {"new": ("failed", "irreversible")}
    assert scene.registry.tags(scene.repository) == {}


@over(replace(WITHOUT_DELETES, tags=TagRules(delete="none", delete_refusal=profile.DENIED)))
def test_a_refused_delete_tells_only_where_the_repository_is_there(scene: Scene) -> None:
    request = scene.request(scene.offer(scene.index("linux/amd64")), "new") | {"atomic": "push"}
    scene.registry.gates.inject("DELETE", "/manifests/", Answer(403))
    (first,) = scene.push(request).items
    assert told(first.tags) == {"new": ("failed", "irreversible")}
    repository = scene.registry.store.repositories[scene.repository]
    copied = dict(repository.manifests)
    assert copied != {}
    scene.offer(scene.index("linux/amd64", seed="other"))
    (second,) = scene.push(request).items
    assert told(second.tags) == {"new": ("failed", "irreversible")}
    assert repository.manifests == copied


@over(WITHOUT_DELETES)
def test_an_item_that_accepts_it(scene: Scene) -> None:
    request = release(scene, irreversible="accept")
    (planned,) = scene.client.preview(request).items
    assert told(planned.tags) == {"old": ("copied", None), "new": ("copied", None)}
    assert [notice.code for tag in planned.tags for notice in tag.warnings] == ["irreversible"]
    assert scene.push(request).state == "succeeded"


@over(profiles.STRICT)
def test_what_can_be_put_back_is_not_spoken_of(scene: Scene) -> None:
    (planned,) = scene.client.preview(release(scene)).items
    assert told(planned.tags) == {"old": ("copied", None), "new": ("copied", None)}
    assert [tag.warnings for tag in planned.tags] == [[], []]


@over(profiles.DISTRIBUTION_2_8)
def test_another_tag_that_would_be_deleted_with_a_new_one(scene: Scene) -> None:
    request = release(scene)
    scene.registry.put(scene.repository, scene.index("linux/amd64"), "elsewhere")
    (planned,), (done,) = scene.client.preview(request).items, scene.push(request).items
    assert told(planned.tags)["new"] == told(done.tags)["new"] == ("failed", "irreversible")


@over(profiles.STRICT)
def test_an_old_manifest_that_is_not_read(scene: Scene) -> None:
    """Its bytes cannot be kept: it has too many entries."""
    request = release(scene)
    request["items"][0]["merge"] = False
    entry = {"mediaType": images.OCI_MANIFEST, "digest": scene.image("linux/amd64").digest, "size": 1}
    large = json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": [entry] * 5001}).encode()
    store = scene.registry.store
    held = Manifest(images.OCI_INDEX, large)
    store.put(store.repositories[scene.repository], held, ("old",), by=held.digest)
    (planned,), (done,) = scene.client.preview(request).items, scene.push(request).items
    expected = {"old": ("failed", "irreversible"), "new": ("skipped", "withheld")}
    assert (told(planned.tags), told(done.tags)) == (expected, expected)


@over(QUAY)
def test_a_dry_run_asks_for_no_right_but_to_pull(scene: Scene) -> None:
    """Rule 3.4: a token with more rights would make the repository. So the dry run says that it does not know."""
    scene.registry.put(f"{scene.name}/there", scene.index("linux/amd64", seed="other"), "other")
    request = scene.request(scene.offer(scene.index("linux/amd64")), "new", repositories=(f"{scene.name}/there",))
    request["items"][0]["destinations"][f"{scene.registry.host}/{scene.name}/absent"] = ["new"]
    (planned,) = scene.client.preview(request | {"atomic": "push"}).items
    assert {tag.action for tag in planned.tags} == {"copied"}
    assert all("irreversible_unknown" in {notice.code for notice in tag.warnings} for tag in planned.tags)
    assert sorted(scene.registry.store.repositories) == [f"{scene.name}/there"]


HARBOR = profiles.HARBOR


@pytest.fixture
def telling(scene: Scene) -> Scene:
    """Return a scene whose client has access to the API of the registry's product."""
    scene.registry.api_tokens = {"of-the-api"}
    harbor = scene.profile.name == "harbor"
    settings = RegistrySettings(
        credentials=Credentials(USER, PASSWORD),
        api="harbor" if harbor else None,
        api_token=None if harbor else "of-the-api",
    )
    scene.settings.registries.registries[scene.registry.host] = settings
    scene.registry.immutable = ("new*",)
    return scene


@over(QUAY, HARBOR)
def test_a_new_tag_that_is_immutable_at_once_is_told_before_a_byte_moves(telling: Scene) -> None:
    """Rule 10.1: it could not be deleted if another tag of the release fails."""
    scene = telling
    request = release(scene)
    before = scene.registry.tags(scene.repository)
    (planned,), (done,) = scene.client.preview(request).items, scene.push(request).items
    expected = {"old": ("skipped", "withheld"), "new": ("failed", "irreversible")}
    assert (told(planned.tags), told(done.tags)) == (expected, expected)
    error = done.tags[1].error
    assert error is not None
    assert f"{scene.registry.host}/{scene.repository}:new is new" in error.message
    assert "makes it immutable at once" in error.message
    assert scene.registry.tags(scene.repository) == before
    assert not any("/blobs/" in write or write.startswith("PUT") for write in scene.writes())


@over(QUAY, HARBOR)
def test_an_item_that_accepts_a_tag_that_is_immutable_at_once(telling: Scene) -> None:
    scene = telling
    request = release(scene, irreversible="accept")
    (planned,) = scene.client.preview(request).items
    assert "irreversible" in {notice.code for notice in planned.tags[1].warnings}
    assert scene.push(request).state == "succeeded"


@over(QUAY, HARBOR)
def test_a_push_that_is_no_release_may_make_such_a_tag(telling: Scene) -> None:
    scene = telling
    request = release(scene)
    del request["atomic"]
    assert scene.push(request).state == "succeeded"


@over(QUAY, HARBOR)
def test_a_user_who_may_not_see_the_rules_is_not_held_up(telling: Scene) -> None:
    """Rule 10.2: an API that tells nothing stops no push."""
    telling.registry.api_admin = False
    assert telling.push(release(telling)).state == "succeeded"
