"""What keeps a tag from moving, and how a push is reported (BEHAVIOUR section 6)."""

import threading
from typing import Any

import pytest

from tasks import contract
from tasks.contract import Fault, TagReport, Totals
from tasks.errors import AuthenticationRefused, ImagePusherError, OlderThanDestination, SourceChildMissing
from tasks.oci.digest import Digest
from tasks.transfer.copy.totals import Counter, total
from tasks.transfer.plan.plan import Plan, PlannedItem, PlannedTag
from tasks.transfer.ports import CopyOutcome
from tasks.transfer.publish.report import build_report, obstacle, summary, tag_key, unmoved, withheld_items
from tests.support import plans

B, C = "b.example", "c.example"
REFUSED = AuthenticationRefused("No.")
LOST = SourceChildMissing("Gone.")


def planned_tag(tag: str = "1", registry: str = B, action: contract.Action = "copied", **more: Any) -> PlannedTag:
    return plans.planned_tag(f"{registry}/app:{tag}", action, old_digest=Digest("old"), **more)


def planned_item(
    *tags: PlannedTag, needs: tuple[str, ...] = ("one", "two"), error: ImagePusherError | None = None, **more: Any
) -> PlannedItem:
    if error is not None:
        return plans.failed_item(error, *tags, **more)
    return plans.resolved_item(*tags, needs=needs, **more)


def plan(*items: PlannedItem, atomic: contract.Atomic | None = None) -> Plan:
    return Plan(push_id="p", created=0.0, items=list(items), copies=[], atomic=atomic)


def copies(**errors: dict[str, ImagePusherError]) -> dict[str, CopyOutcome]:
    """Return the outcomes of the copies of `one`, `two` and `three`, each with its errors by repository."""
    return {word: CopyOutcome(digest=word, errors=errors.get(word, {})) for word in ("one", "two", "three")}


def stays(
    atomic: contract.Atomic | None, items: list[PlannedItem], done: dict[str, CopyOutcome]
) -> list[tuple[str, str] | None]:
    """Return action and code of each tag that must not move, None for those that may."""
    withheld = withheld_items(plan(*items, atomic=atomic), done)
    found: list[tuple[str, str] | None] = []
    for item, kept_back in zip(items, withheld, strict=True):
        for tag in item.tags:
            error = obstacle(item, tag, done)
            if error is not None:
                found.append(("failed", error.code))
            else:
                moves = kept_back is None or tag.action == "unchanged"
                found.append(None if moves or kept_back is None else ("skipped", kept_back.code))
    return found


def test_nothing_stands_in_the_way_of_a_tag_whose_copies_are_done() -> None:
    """Rule 6.4."""
    assert stays(None, [planned_item(planned_tag())], copies()) == [None]
    assert stays("push", [planned_item(planned_tag()), planned_item(planned_tag("2"))], copies()) == [None, None]


def test_a_fault_of_the_source_or_of_the_tag_fails_the_tag_and_leaves_it_as_it_was() -> None:
    """Rule 6.1."""
    tag = planned_tag(error=REFUSED)
    for item, tag_ in ((planned_item(planned_tag(), error=REFUSED), planned_tag()), (planned_item(tag), tag)):
        error = obstacle(item, tag_, copies())
        assert error is REFUSED
        assert unmoved(tag_, error) == TagReport(
            reference=f"{B}/app:1", action="failed", old_digest="old", new_digest="old", error=Fault.of(REFUSED)
        )
    assert unmoved(planned_tag(), REFUSED, "skipped").action == "skipped"


def test_a_copy_that_failed_in_a_repository_fails_the_tags_there_and_no_others() -> None:
    """Rule 6.4."""
    item = planned_item(planned_tag(), planned_tag(registry=C))
    assert stays(None, [item], copies(two={f"{C}/app": REFUSED})) == [None, ("failed", REFUSED.code)]


def test_a_copy_that_failed_fails_the_items_that_need_it_and_no_others() -> None:
    """Rules 6.2 and 6.4."""
    one, other = planned_item(planned_tag()), planned_item(planned_tag("2"), needs=("three",))
    assert stays(None, [one, other], copies(one={f"{B}/app": REFUSED})) == [("failed", REFUSED.code), None]


def test_what_the_source_lost_fails_every_tag_of_the_item() -> None:
    """Rule 2.3: even where the repository has the child."""
    item = planned_item(planned_tag(), planned_tag(registry=C))
    assert stays(None, [item], copies(two={f"{C}/app": LOST})) == [("failed", LOST.code)] * 2


def test_a_tag_that_is_right_already_needs_no_copy() -> None:
    """Rules 4.6 and 6.2: it is not withheld either."""
    right, other = planned_tag(action="unchanged"), planned_tag("2")
    broken = copies(one={f"{B}/app": REFUSED})
    assert stays(None, [planned_item(right)], {}) == [None]
    assert stays("item", [planned_item(right, other)], broken) == [None, ("failed", REFUSED.code)]


def test_a_copy_without_an_outcome_is_no_success() -> None:
    """Rule 7.5: never a silent success."""
    assert stays(None, [planned_item(planned_tag())], {}) == [("failed", "copy_incomplete")]


@pytest.mark.parametrize(
    ("atomic", "expected"),
    [
        (None, [None, ("failed", REFUSED.code), None]),
        ("item", [("skipped", "withheld"), ("failed", REFUSED.code), None]),
        ("push", [("skipped", "withheld"), ("failed", REFUSED.code), ("skipped", "withheld")]),
    ],
)
def test_tags_that_belong_together_move_together_or_not_at_all(
    atomic: contract.Atomic | None, expected: list[tuple[str, str] | None]
) -> None:
    """Rule 6.2."""
    items = [planned_item(planned_tag(), planned_tag(registry=C)), planned_item(planned_tag("2"), needs=("three",))]
    assert stays(atomic, items, copies(one={f"{C}/app": REFUSED})) == expected
    faulty = [
        planned_item(planned_tag(), planned_tag(registry=C, error=REFUSED)),
        planned_item(planned_tag("2"), needs=("three",)),
    ]
    assert stays(atomic, faulty, copies()) == expected


@pytest.mark.parametrize("atomic", ["item", "push"])
def test_tags_that_are_withheld_are_told_which_one_fails(atomic: contract.Atomic) -> None:
    """Rule 6.8."""
    older = planned_tag("1", error=OlderThanDestination("older"))
    items = [planned_item(older, planned_tag("2", error=REFUSED), planned_tag("3"))]
    (withheld,) = withheld_items(plan(*items, atomic=atomic), copies())
    assert withheld is not None
    assert withheld.message.startswith(f"{items[0].tags[1].reference} fails ({REFUSED.code}), and the tags of this")


def test_a_source_that_failed_withholds_the_whole_push() -> None:
    """Rule 6.2."""
    items = [planned_item(planned_tag(), error=REFUSED, source="a.example/bad:1"), planned_item(planned_tag("2"))]
    assert stays("push", items, copies()) == [("failed", REFUSED.code), ("skipped", "withheld")]
    assert stays("item", items, copies()) == [("failed", REFUSED.code), None]
    error = withheld_items(plan(*items, atomic="push"), copies())[1]
    assert error is not None
    assert error.message.startswith(f"a.example/bad:1 fails ({REFUSED.code})")


def done(tag: PlannedTag, action: contract.Action, error: Fault | None = None) -> TagReport:
    return TagReport(reference=str(tag.reference), action=action, error=error)


def report(*actions: contract.Action, error: ImagePusherError | None = REFUSED) -> contract.PushReport:
    """Return the report of a push of one item whose tags ended so."""
    tags = [planned_tag(str(number)) for number in range(len(actions))]
    ended = [
        done(tag, action, Fault.of(error) if error and action in {"failed", "skipped"} else None)
        for tag, action in zip(tags, actions, strict=True)
    ]
    return build_report(
        plan(planned_item(*tags)), dict(zip((tag_key(0, tag) for tag in tags), ended, strict=True)), [], 1.0
    )


@pytest.mark.parametrize(
    ("actions", "state"),
    [
        (("copied", "merged", "unchanged"), "succeeded"),
        (("copied", "failed"), "partial"),
        (("unchanged", "skipped"), "partial"),
        (("failed", "failed"), "failed"),
        (("failed", "skipped"), "failed"),
        (("rolled_back", "rolled_back"), "failed"),
        (("unchanged", "rolled_back"), "partial"),
    ],
)
def test_the_state_of_a_push_counts_all_tags(actions: tuple[contract.Action, ...], state: str) -> None:
    """Rules 6.1 and 6.3."""
    assert report(*actions).state == state


def test_a_report_has_each_item_with_its_tags_in_their_order() -> None:
    """Rule 6.1."""
    first, second = planned_tag("2"), planned_tag("1")
    item = planned_item(first, second, kind="multi-arch", digest=Digest("digest"))
    ended = {tag_key(0, tag): done(tag, "copied") for tag in (second, first)}
    parts = [Totals(bytes_copied=3, blobs_copied=1), Totals(bytes_copied=4, manifests_copied=2, blobs_mounted=5)]
    assert build_report(plan(item), ended, parts, 1.23456) == contract.PushReport(
        push_id="p",
        state="succeeded",
        items=[
            contract.ItemReport(
                source="a.example/app:1",
                kind="multi-arch",
                digest="digest",
                tags=[done(first, "copied"), done(second, "copied")],
            )
        ],
        totals=Totals(bytes_copied=7, blobs_copied=1, blobs_mounted=5, manifests_copied=2, seconds=1.235),
    )


def test_an_item_has_the_fault_that_all_its_tags_have() -> None:
    """Rule 6.1."""
    assert report("failed", "failed").items[0].error == Fault.of(REFUSED)
    assert report("failed", "copied").items[0].error is None
    assert report("failed", "skipped").items[0].error is None
    assert report("copied").items[0].error is None
    tags = [planned_tag("1"), planned_tag("2")]
    mixed = {
        tag_key(0, tags[0]): done(tags[0], "failed", Fault.of(REFUSED)),
        tag_key(0, tags[1]): done(tags[1], "failed", Fault.of(LOST)),
    }
    assert build_report(plan(planned_item(*tags)), mixed, [], 0).items[0].error is None


def test_a_summary_names_the_first_tags_that_failed() -> None:
    """Rule 6.3: one line for a task list."""
    assert summary(report("copied", "failed", "skipped")) == (
        f"Push p: 2 of 3 tags failed ({B}/app:1: {REFUSED.code}; {B}/app:2: {REFUSED.code})."
    )
    eight: list[contract.Action] = ["failed"] * 8
    many = summary(report(*eight))
    assert many.startswith("Push p: 8 of 8 tags failed (")
    assert many.endswith("; and 3 more).")
    assert summary(report("skipped", error=None)) == f"Push p: 1 of 1 tags failed ({B}/app:0: skipped)."


def test_totals_are_counted_by_many_threads() -> None:
    """Rule 6.1."""
    counter = Counter()

    def count() -> None:
        for _ in range(1000):
            counter.add(bytes_copied=2, blobs_skipped=1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counter.add(blobs_copied=1, blobs_mounted=2, manifests_copied=3)
    counted = counter.totals()
    assert counted == Totals(
        bytes_copied=8000, blobs_copied=1, blobs_mounted=2, blobs_skipped=4000, manifests_copied=3, seconds=0.0
    )
    assert total([counted, counted], 0.12345).bytes_copied == 16000
    assert total([], 0.0) == Totals()
