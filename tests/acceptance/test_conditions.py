"""Conditions of a tag hold when the push is planned and under the lock (BEHAVIOUR 10.2 to 10.6), on two registries."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from tasks.contract import TagReport
from tasks.transfer.request.target import Target
from tasks.transfer.steps.copy import CopyStep
from tests.acceptance.conftest import World
from tests.support import images
from tests.support.images import Index
from workers.ledger import open_ledger

VERSION = "org.opencontainers.image.version"


def index(*platforms: str, seed: str = "", version: str | None = None) -> Index:
    labels = {"config": {"Labels": {VERSION: version}}} if version else {}
    made = [images.image(each, [images.layer(f"{seed} {each}", 500)], config=labels) for each in platforms]
    return images.index(made)


OLD, NEW = index("linux/amd64", seed="old"), index("linux/amd64", seed="new")


def refused(world: World, node: Index, **options: Any) -> str:
    """Push over what tag 1 holds, and return the code of the refusal; nothing was written, not even a blob."""
    held = world.stored.digest(world.destination, "1")
    source = world.put_a(node)
    preview = world.client.preview({"items": [world.item(source, **options)]})
    report = world.push(world.item(source, **options))
    (tag,) = report.items[0].tags
    assert tag.error is not None
    assert (tag.action, report.state, report.totals.bytes_copied) == ("failed", "failed", 0)
    assert report.totals.manifests_copied == 0
    assert world.stored.digest(world.destination, "1") == held
    (told,) = preview.items[0].tags
    assert (told.action, told.error) == (tag.action, tag.error)
    return tag.error.code


def allowed(world: World, node: Index, **options: Any) -> TagReport:
    tag = world.push_one(world.put_a(node), **options)
    assert tag.error is None
    assert world.stored.digest(world.destination, "1") == tag.new_digest
    return tag


@pytest.mark.parametrize(
    "options",
    [{"overwrite": "never"}, {"overwrite": "same"}, {"expect": {"1": "absent"}}, {"expect": {"1": NEW.digest}}],
)
def test_a_tag_that_is_not_as_expected_stays_as_it_is(world: World, options: dict[str, Any]) -> None:
    """Rule 10.2."""
    world.put_b(OLD)
    assert refused(world, NEW, **options) == "expectation_failed"
    # The same digest is no change.
    assert allowed(world, OLD, **options).action == "unchanged"


@pytest.mark.parametrize(
    "options", [{}, {"expect": {"1": OLD.digest}}, {"overwrite": "always", "expect": {"1": OLD.digest}}]
)
def test_a_tag_that_is_as_expected_moves(world: World, options: dict[str, Any]) -> None:
    """Rule 10.2."""
    world.put_b(OLD)
    assert allowed(world, NEW, **options).action == "copied"


@pytest.mark.parametrize("options", [{"overwrite": "never"}, {"overwrite": "same"}, {"expect": {"1": "absent"}}])
def test_a_tag_that_is_not_there_is_made(world: World, options: dict[str, Any]) -> None:
    """Rule 10.2."""
    assert allowed(world, NEW, **options).action == "copied"


def test_platforms_may_be_added_where_images_stay_the_same(world: World) -> None:
    """Rule 10.2."""
    world.put_b(OLD)
    tag = allowed(world, index("linux/arm64"), overwrite="same")
    assert (tag.action, tag.kept_platforms) == ("merged", ["linux/amd64"])


def test_a_target_declares_tags_immutable(world: World) -> None:
    """Rule 10.2: those that are there, whatever the item says."""
    world.targets[world.name] = Target(host=world.b.host, immutable=("v*",))
    source = world.put_a(NEW)
    world.put_b(OLD, "v1")
    world.put_b(OLD, "latest")
    item = {"source": source, "destinations": {world.destination: ["v1", "v2", "latest"]}}
    (report,) = world.push(item, target=world.name).items
    assert [tag.action for tag in report.tags] == ["failed", "copied", "copied"]
    assert report.tags[0].error is not None
    assert (report.tags[0].error.code, report.tags[0].error.side) == ("tag_immutable", "settings")
    assert world.stored.digest(world.destination, "v1") == OLD.digest


def test_platforms_that_are_required_are_there_or_nothing_is_written(world: World) -> None:
    """Rule 10.3."""
    world.put_b(OLD)
    required = {"require_platforms": ["linux/amd64", "linux/arm64"]}
    assert refused(world, NEW, **required) == "platform_missing"
    assert allowed(world, index("linux/arm64"), **required).action == "merged"


@pytest.mark.parametrize("options", [{"merge": False}, {"kind": "image", "platforms": ["linux/amd64"]}])
def test_no_platform_is_taken_away(world: World, options: dict[str, Any]) -> None:
    """Rule 10.3."""
    world.put_b(index("linux/amd64", "linux/arm64", seed="both"))
    assert refused(world, NEW, platform_removal="refuse", **options) == "platform_removal_refused"
    whole = index("linux/arm64", "linux/amd64", seed="other")
    assert allowed(world, whole, platform_removal="refuse", merge=False).action == "copied"


def test_a_tag_that_goes_forward_only_skips_an_older_image(world: World) -> None:
    """Rule 10.4: that is no failure."""
    older, newer = index("linux/amd64", version="1.9.9"), index("linux/amd64", version="1.10.0")
    assert allowed(world, newer, forward_only="version").action == "copied"
    item = world.item(world.put_a(older), "1", "1.9", forward_only="version")
    (told,) = world.client.preview({"items": [item]}).items
    report = world.push(item)
    (floating, own) = report.items[0].tags
    assert (floating.action, own.action, report.state) == ("skipped", "copied", "succeeded")
    assert floating.error is not None
    assert floating.error.code == "older_than_destination"
    assert (told.tags[0].action, told.tags[0].error) == ("skipped", floating.error)
    assert world.stored.digest(world.destination, "1") == newer.digest == floating.new_digest
    assert world.stored.digest(world.destination, "1.9") == older.digest


def test_an_older_image_withholds_nothing_of_its_release(world: World) -> None:
    """Rules 10.1 and 10.4."""
    older, newer = index("linux/amd64", version="1.9.9"), index("linux/amd64", version="1.10.0")
    world.put_b(newer)
    report = world.push(world.item(world.put_a(older), "1", "1.9", forward_only="version"), atomic="push")
    assert [tag.action for tag in report.items[0].tags] == ["skipped", "copied"]
    assert report.state == "succeeded"


def test_the_tag_of_the_source_is_the_version_of_an_image_without_one(world: World) -> None:
    """Rule 10.4: also of what an earlier push put there."""
    for tag, expected in (("2.0", "copied"), ("1.9", "skipped"), ("2.1", "copied")):
        source = world.put_a(index("linux/amd64", seed=tag), tag)
        assert world.push_one(source, forward_only="version").action == expected
    world.put_b(OLD)
    assert refused(world, index("linux/amd64", seed="2.2"), forward_only="version") == "version_unknown"


def test_a_hold_is_refused_with_its_reason_until_it_is_released(world: World) -> None:
    """Rule 10.5."""
    world.put_b(OLD)
    name = f"{world.b.host}/{world.destination}:1"
    with open_ledger(world.settings) as ledger:
        ledger.hold(name, "audit 7")
        try:
            assert refused(world, NEW) == "tag_held"
            error = world.push_one(world.put_a(NEW)).error
            assert error is not None
            assert "audit 7" in error.message
            assert [hold.why for hold in ledger.holds() if hold.reference == name] == ["audit 7"]
        finally:
            ledger.release_hold(name)
    assert allowed(world, NEW).action == "copied"


def test_the_history_of_a_tag_tells_of_each_move_and_of_its_undo(world: World) -> None:
    """Rule 10.6."""
    first, second = world.push(world.item(world.put_a(OLD))), world.push(world.item(world.put_a(NEW)))
    world.push(world.item(world.put_a(NEW)))
    assert world.client.undo(second.push_id).state == "succeeded"
    with open_ledger(world.settings) as ledger:
        moves = ledger.history(f"{world.b.host}/{world.destination}:1").moves
    assert [(move.push_id, move.old_digest, move.new_digest) for move in moves] == [
        (second.push_id, OLD.digest, NEW.digest),
        (first.push_id, None, OLD.digest),
    ]
    assert [move.undone is None for move in moves] == [False, True]
    assert moves[0].source == world.put_a(NEW)


def test_what_a_tag_held_before_keeps_a_tag_of_its_own_until_it_is_put_back(world: World) -> None:
    """Rule 6.6: where the target says that its registry collects at once."""
    world.targets[world.name] = Target(host=world.b.host, keep_replaced=True)
    world.put_b(OLD)
    report = world.push({"source": world.put_a(NEW), "destinations": {world.destination: ["1"]}}, target=world.name)
    kept = {tag: world.stored.digest(world.destination, tag) for tag in world.stored.tags(world.destination)}
    (name,) = kept.keys() - {"1"}
    assert (kept["1"], kept[name]) == (NEW.digest, OLD.digest)
    assert name.startswith("1.replaced-")
    assert world.client.undo(report.push_id).state == "succeeded"
    assert world.stored.digest(world.destination, "1") == OLD.digest


def test_a_condition_holds_under_the_lock_when_the_tag_moved_after_planning(world: World) -> None:
    """Rules 10.2, 10.4 and 10.5: what was seen when the push was planned is asked again before the write."""
    source = world.put_a(index("linux/amd64", version="1.9.9"), "1.9.9")
    newer = index("linux/amd64", version="1.10.0")
    theirs = {"never": NEW, "forward": newer}
    for tag, options in (("never", {"overwrite": "never"}), ("forward", {"forward_only": "version"})):
        with moved_before_the_lock(world, tag, theirs[tag]):
            (item,) = world.push(world.item(source, tag, **options)).items
        (report,) = item.tags
        assert report.error is not None
        assert (report.action, report.error.code) == {
            "never": ("failed", "expectation_failed"),
            "forward": ("skipped", "older_than_destination"),
        }[tag]
        assert world.stored.digest(world.destination, tag) == theirs[tag].digest


@contextmanager
def moved_before_the_lock(world: World, tag: str, node: Index) -> Iterator[None]:
    """Let someone else write a tag when the push has planned, and before it publishes."""
    copy = CopyStep.run

    def run(self: CopyStep, *arguments: Any, **options: Any) -> Any:
        world.put_b(node, tag)
        return copy(self, *arguments, **options)

    with patch.object(CopyStep, "run", run):
        yield
