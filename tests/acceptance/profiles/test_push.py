"""A push into every registry: copy, merge, several repositories, unchanged (BEHAVIOUR sections 3 to 5)."""

from tests.acceptance.profiles.cases import UPLOADING, over
from tests.acceptance.profiles.conftest import Scene


@over()
def test_a_single_image_is_copied(scene: Scene) -> None:
    """Rules 2.4, 5.1 and 5.6: the same digest, readable for good."""
    source = scene.image("linux/amd64")
    tag = scene.push_one(scene.offer(source))
    assert (tag.action, tag.error) == ("copied", None)
    scene.assert_whole("1", source.digest)


@over()
def test_an_index_is_copied(scene: Scene) -> None:
    """Rules 2.4, 5.2 and 5.6."""
    source = scene.index("linux/amd64", "linux/arm64")
    tag = scene.push_one(scene.offer(source))
    assert (tag.action, tag.error) == ("copied", None)
    scene.assert_whole("1", source.digest)


@over()
def test_a_platform_is_merged_with_those_that_are_there(scene: Scene) -> None:
    """Rules 3.2, 4.1, 4.8: both platforms, and a tag that protects them."""
    scene.registry.put(scene.repository, scene.index("linux/arm64"), "1")
    tag = scene.push_one(scene.offer(scene.index("linux/amd64")))
    assert (tag.action, tag.error) == ("merged", None)
    assert set(scene.entries()) == {"linux/amd64", "linux/arm64"}
    assert tag.protective_tag is not None
    assert tag.new_digest is not None
    scene.assert_whole(tag.protective_tag, tag.new_digest)
    scene.assert_whole("1", tag.new_digest)


@over()
def test_several_repositories_get_one_upload_where_blobs_can_be_mounted(scene: Scene) -> None:
    """Rules 5.1 and 5.4."""
    source = scene.index("linux/amd64", "linux/arm64")
    repositories = tuple(f"{scene.name}/{each}" for each in ("app", "b", "c"))
    report = scene.push(scene.request(scene.offer(source), "1", repositories=repositories))
    assert report.state == "succeeded"
    for each in repositories:
        scene.assert_whole("1", source.digest, each)
    blobs = 8
    assert scene.uploaded() == (blobs if scene.profile.uploads.mount == "mounted" else 3 * blobs)


@over(UPLOADING)
def test_a_repository_that_is_added_later_mounts_from_the_one_that_has_the_image(scene: Scene) -> None:
    """Rules 5.1 and 5.2: by another process, whose memory does not hold where the blobs are."""
    source = scene.index("linux/amd64", "linux/arm64")
    scene.registry.put(scene.repository, source, "0")
    repositories = (scene.repository, f"{scene.name}/b")
    report = scene.push(scene.request(scene.offer(source), "1", repositories=repositories))
    assert report.state == "succeeded"
    for each in repositories:
        scene.assert_whole("1", source.digest, each)
    assert scene.uploaded() == (0 if scene.profile.uploads.mount == "mounted" else 8)


@over()
def test_what_is_there_already_is_not_written(scene: Scene) -> None:
    """Rules 3.1 and 6.5."""
    source = scene.offer(scene.index("linux/amd64", "linux/arm64"))
    assert scene.push_one(source).action == "copied"
    before = len(scene.registry.requests())
    assert scene.push_one(source).action == "unchanged"
    assert scene.writes(before) == []


@over(UPLOADING)
def test_no_upload_is_left_open(scene: Scene) -> None:
    """Rule 5.6: neither of a form that was refused, nor of a mount that was not carried out."""
    repositories = tuple(f"{scene.name}/{each}" for each in ("app", "b"))
    source = scene.offer(scene.index("linux/amd64", "linux/arm64"))
    assert scene.push(scene.request(source, "1", repositories=repositories)).state == "succeeded"
    assert scene.registry.open_sessions() == []
