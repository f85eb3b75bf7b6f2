"""What comes before and after a push to every registry: dry run, verify, undo (BEHAVIOUR section 6)."""

from tests.acceptance.profiles.cases import PRODUCTS, over
from tests.acceptance.profiles.conftest import Scene


@over(PRODUCTS)
def test_a_dry_run_says_what_would_be_done_and_leaves_no_trace(scene: Scene) -> None:
    """Rule 3.4: not even a repository, which some registries make for whoever asks for the right to push."""
    before = set(scene.registry.store.repositories)
    preview = scene.client.preview(scene.request(scene.offer(scene.index("linux/amd64")), "1"))
    (tag,) = preview.items[0].tags
    assert (tag.action, tag.error) == ("copied", None)
    assert scene.writes() == []
    assert set(scene.registry.store.repositories) == before


@over(PRODUCTS)
def test_a_push_can_be_verified(scene: Scene) -> None:
    """Rule 6.1: as reported; and a tag that someone moved since is found."""
    report = scene.push(scene.request(scene.offer(scene.index("linux/amd64")), "1", "2"))
    assert scene.client.verify(report.push_id).state == "verified"
    scene.registry.put(scene.repository, scene.image("linux/arm64"), "2")
    verification = scene.client.verify(report.push_id)
    assert verification.state == "broken"
    assert [tag.found_digest == tag.expected_digest for tag in verification.tags] == [True, False]


@over(PRODUCTS)
def test_a_push_can_be_undone(scene: Scene) -> None:
    """Rule 6.6: to the exact old digest, whole, also where nothing held it meanwhile."""
    old = scene.index("linux/amd64", seed="old")
    scene.registry.put(scene.repository, old, "1")
    report = scene.push(scene.request(scene.offer(scene.index("linux/amd64")), "1", "new"))
    assert report.state == "succeeded"
    undone = {tag.reference.rpartition(":")[2]: tag for tag in scene.client.undo(report.push_id).tags}
    assert undone["1"].action == "restored"
    scene.assert_whole("1", old.digest)
    if scene.profile.tags.delete == "none":
        assert undone["new"].action == "failed"
        assert undone["new"].error is not None
        assert undone["new"].error.code == "request_refused"
    else:
        assert undone["new"].action == "deleted"
        assert "new" not in scene.registry.tags(scene.repository)
