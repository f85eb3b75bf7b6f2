"""What a registry refuses ends in an error with a code of its own, and moves no tag (BEHAVIOUR 6.8)."""

from tasks.contract import TagReport
from tests.acceptance.profiles.cases import PRODUCTS, over
from tests.acceptance.profiles.conftest import Scene
from tests.support.profiles import profiles

LOGGING_IN = tuple(profile for profile in PRODUCTS if profile.access.scheme != "none")


@over(LOGGING_IN)
def test_a_wrong_login(scene: Scene) -> None:
    """Rules 3.4 and 6.8."""
    scene.log_in("wrong")
    tag = scene.push_one(scene.offer(scene.index("linux/amd64")))
    assert tag.error is not None
    assert (tag.action, tag.error.code, tag.error.side) == ("failed", "authentication_refused", "destination")
    assert "wrong" not in tag.error.message
    assert scene.registry.tags(scene.repository) == {}


@over(PRODUCTS)
def test_a_quota(scene: Scene) -> None:
    """Rule 6.8: in the registry's own words, and not as a login that is refused."""
    scene.registry.quota_bytes = 0
    tag = scene.push_one(scene.offer(scene.index("linux/amd64")))
    assert tag.error is not None
    assert (tag.action, tag.error.code, tag.error.side) == ("failed", "quota_exceeded", "destination")
    words = scene.profile.state.quota.message.partition("{")[0]
    assert words in tag.error.message
    assert scene.registry.tags(scene.repository) == {}
    assert scene.registry.open_sessions() == []


def _push_over_an_immutable_tag(scene: Scene) -> TagReport:
    old = scene.index("linux/arm64")
    scene.registry.put(scene.repository, old, "v1")
    scene.registry.immutable = ("v?",)
    tag = scene.push_one(scene.offer(scene.index("linux/amd64")), "v1")
    assert scene.registry.tags(scene.repository)["v1"] == old.digest
    return tag


@over(PRODUCTS)
def test_an_immutable_tag(scene: Scene) -> None:
    """Rules 3.5 and 6.8: it stays as it is, and the registry's words are not taken for a login that is refused."""
    tag = _push_over_an_immutable_tag(scene)
    assert tag.error is not None
    assert (tag.action, tag.error.code, tag.error.side) == ("failed", "tag_immutable", "destination")


@over([each for each in PRODUCTS if each.tags.delete == "both"])
def test_no_protective_tag_is_left_of_a_push_that_failed(scene: Scene) -> None:
    """Rule 4.8: it is removed where the registry deletes tags."""
    tag = _push_over_an_immutable_tag(scene)
    assert tag.error is not None
    assert tag.error.code == "tag_immutable"
    assert set(scene.registry.tags(scene.repository)) == {"v1"}


@over([each for each in PRODUCTS if each.tags.delete != "both"])
def test_a_protective_tag_that_cannot_be_deleted_is_named(scene: Scene) -> None:
    """Rule 4.8: whoever reads the report can delete it."""
    tag = _push_over_an_immutable_tag(scene)
    (left,) = set(scene.registry.tags(scene.repository)) - {"v1"}
    assert tag.protective_tag == left


@over([profiles.small(profiles.ECR), profiles.HARBOR, profiles.QUAY])
def test_a_repository_that_has_to_be_made_first(scene: Scene) -> None:
    """Rule 6.8: told from a login that is refused, and nothing is made by the way."""
    scene.registry.namespaces = {"other"}
    scene.registry.store.repositories.clear()
    tag = scene.push_one(scene.offer(scene.index("linux/amd64")))
    assert tag.error is not None
    assert (tag.action, tag.error.code, tag.error.side) == ("failed", "namespace_missing", "destination")
    assert scene.registry.store.repositories == {}
