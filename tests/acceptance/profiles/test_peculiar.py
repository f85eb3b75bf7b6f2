"""Registries that say one thing and do another (BEHAVIOUR 5.5, 7.2)."""

from dataclasses import replace

import pytest

from tasks.transfer.publish import held_digest
from tests.acceptance.profiles.cases import over
from tests.acceptance.profiles.conftest import Scene
from tests.support.profiles import profiles

PHANTOM = replace(profiles.STRICT, name="phantom-mounts", uploads=replace(profiles.STRICT.uploads, mount="phantom"))
REWRITING = replace(
    profiles.STRICT, name="rewriting", manifests=replace(profiles.STRICT.manifests, head_digest="another")
)
LAGGING = replace(profiles.STRICT, name="lagging", tags=replace(profiles.STRICT.tags, lag=3))


@over([PHANTOM])
def test_a_mount_that_brought_nothing_is_followed_by_the_bytes(scene: Scene) -> None:
    """Rule 5.5: the registry says that the blob is there, and misses it when the manifest comes."""
    source = scene.index("linux/amd64", "linux/arm64")
    repositories = tuple(f"{scene.name}/{each}" for each in ("app", "b", "c"))
    report = scene.push(scene.request(scene.offer(source), "1", repositories=repositories))
    assert [(tag.action, tag.error) for tag in report.items[0].tags] == [("copied", None)] * 3
    for each in repositories:
        scene.assert_whole("1", source.digest, each)


@over([REWRITING])
def test_the_manifest_counts_and_not_the_digest_that_is_announced_for_it(scene: Scene) -> None:
    """Rule 7.2: nobody else wrote the tag."""
    source, other = scene.index("linux/amd64"), scene.index("linux/arm64")
    assert scene.push_one(scene.offer(source)).action == "copied"
    assert scene.push_one(scene.offer(source)).action == "unchanged"
    tag = scene.push_one(scene.offer(other, "2"))
    assert (tag.action, tag.error) == ("merged", None)
    assert set(scene.entries()) == {"linux/amd64", "linux/arm64"}
    moves = [each for each in scene.writes() if each.endswith("/manifests/1")]
    assert len(moves) == 2


@over([LAGGING])
def test_a_write_that_shows_after_a_moment_is_nobody_elses(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 7.2: it is not written again."""
    monkeypatch.setattr(held_digest, "_LAGS", (0.01,) * 3)
    assert scene.push_one(scene.offer(scene.index("linux/amd64"))).action == "copied"
    tag = scene.push_one(scene.offer(scene.index("linux/arm64"), "2"))
    assert (tag.action, tag.error) == ("merged", None)
    assert set(scene.entries()) == {"linux/amd64", "linux/arm64"}
    moves = [each for each in scene.writes() if each.endswith("/manifests/1")]
    assert len(moves) == 2
