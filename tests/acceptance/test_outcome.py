"""BEHAVIOUR section 6 on two real registries: reports, independence, atomicity, running again, undo."""

import json
import uuid

import msgspec
import pytest
import requests

from tasks import contract
from tests.acceptance.conftest import World, actions
from tests.support import images
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import image, index

REFUSED = "127.0.0.1:1"  # nothing listens there


def multi_arch(seed: str = "") -> images.Index:
    return index(
        [image("linux/amd64", [images.layer(f"a{seed}", 500)]), image("linux/arm64", [images.layer(f"b{seed}", 500)])]
    )


def test_report_says_everything(world: World) -> None:
    """Rule 6.1."""
    # Content of its own: what another test has pushed is mounted, not copied.
    source = multi_arch(world.name)
    reference = world.put_a(source)
    report = world.push(world.item(reference, "1", "latest"))
    document = msgspec.to_builtins(report)
    assert document == {
        "push_id": report.push_id,
        "state": "succeeded",
        "items": [
            {
                "source": reference,
                "kind": "multi-arch",
                "digest": source.digest,
                "error": None,
                "tags": [
                    {
                        "reference": f"{world.b.host}/{world.destination}:{tag}",
                        "action": "copied",
                        "old_digest": None,
                        "new_digest": source.digest,
                        "kept_platforms": [],
                        "protective_tag": None,
                        "warnings": [],
                        "referrers": {},
                        "referrers_left": [],
                        "error": None,
                    }
                    for tag in ("1", "latest")
                ],
            }
        ],
        "totals": {
            "bytes_copied": sum(len(blob) for member in source.members for blob in _blobs(member).values()),
            "blobs_copied": 4,
            "blobs_mounted": 0,
            "blobs_skipped": 0,
            "manifests_copied": 4,
            "seconds": report.totals.seconds,
        },
        "warnings": [],
        "producer": None,
    }
    assert report.totals.seconds > 0


def test_an_item_that_fails_does_not_stop_the_others(world: World) -> None:
    """Rule 6.2."""
    good = world.item(world.put_a(multi_arch()), "good")
    bad = world.item(f"{world.a.host}/{world.source}:gone", "bad")
    report = world.push(bad, good)
    assert (report.state, actions(report)) == ("partial", ["failed", "copied"])
    assert world.stored.tags(world.destination) == ["good"]


@pytest.mark.parametrize("damaged", [0, 1], ids=["the first", "the second"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(Kind.REFUSED, "GET", "/manifests/sha256:", status=404, times=100),
        Fault(Kind.REFUSED, "GET", "/blobs/", status=404, times=100),
        Fault(Kind.REFUSED, "GET", "/manifests/sha256:", status=403, times=100),
        Fault(Kind.REFUSED, "GET", "/blobs/", status=403, times=100),
        Fault(Kind.FLIPPED, "GET", "/blobs/", times=100),
    ],
    ids=["lost manifests", "lost blobs", "refused manifests", "refused blobs", "rotten blobs"],
)
def test_a_damaged_source_does_not_fail_an_item_that_has_the_same_digests_elsewhere(
    world: World, fault: Fault, damaged: int
) -> None:
    """Rule 6.2."""
    reference = world.put_a(multi_arch(world.name))
    with FaultyProxy(world.a.host, Chosen(fault)) as proxy:
        sources = [reference, reference]
        sources[damaged] = reference.replace(world.a.host, proxy.host)
        items = [world.item(source) for source in sources]
        items[1]["destinations"] = {f"{world.b.host}/{world.name}/other": ["1"]}
        report = world.push(*items)
    assert actions(report) == ["copied", "copied"]
    assert report.totals.blobs_copied == 4
    world.stored.holds(world.destination, "1")
    world.stored.holds(f"{world.name}/other", "1")


def test_digests_that_no_source_has_whole_fail_all_items_that_need_them(world: World) -> None:
    """Rules 2.3 and 6.4."""
    source = multi_arch(world.name)
    references = [world.put_a(source), world.put_a(source, repository=f"{world.name}/again")]
    lost = next(iter(_blobs(source.members[0])))
    for repository in (world.source, f"{world.name}/again"):
        requests.delete(f"{world.a.url}/v2/{repository}/blobs/{lost}", timeout=10).raise_for_status()
    whole = world.item(world.put_a(multi_arch(f"{world.name} whole"), "whole"), "3")
    report = world.push(world.item(references[0], "1"), world.item(references[1], "2"), whole)
    assert actions(report) == ["failed", "failed", "copied"]
    assert [item.tags[0].error and item.tags[0].error.code for item in report.items] == [
        "source_child_missing",
        "source_child_missing",
        None,
    ]
    assert world.stored.tags(world.destination) == ["3"]


def test_atomic_push_moves_no_tag_unless_every_copy_succeeded(world: World) -> None:
    """Rule 6.2."""
    good = world.item(world.put_a(multi_arch()), "good")
    bad = world.item(f"{world.a.host}/{world.source}:gone", "bad")
    report = world.push(good, bad, atomic="push")
    assert (report.state, actions(report)) == ("failed", ["skipped", "failed"])
    assert report.items[0].tags[0].error is not None
    assert report.items[0].tags[0].error.code == "withheld"
    assert world.stored.tags(world.destination) == []


def test_atomic_item_withholds_only_its_own_tags(world: World) -> None:
    """Rule 6.2."""
    one = world.item(world.put_a(multi_arch()), "one")
    one["destinations"][f"{REFUSED}/x/y"] = ["1"]
    two = world.item(world.put_a(multi_arch("two"), "2"), "two")
    report = world.push(one, two, atomic="item")
    assert (report.state, actions(report)) == ("partial", ["skipped", "failed", "copied"])
    assert world.stored.tags(world.destination) == ["two"]


def test_a_failing_registry_fails_only_the_tags_that_go_there(world: World) -> None:
    """Rule 6.4."""
    item = world.item(world.put_a(multi_arch()))
    item["destinations"][f"{REFUSED}/x/y"] = ["1"]
    report = world.push(item)
    assert actions(report) == ["copied", "failed"]
    assert report.items[0].tags[1].error is not None
    assert report.items[0].tags[1].error.code == "registry_unavailable"


def test_a_push_that_failed_is_completed_by_the_same_push(world: World) -> None:
    """Rule 6.5: what was done before is reported as it was done."""
    first = multi_arch()
    request = [world.item(world.put_a(first), "1"), world.item(f"{world.a.host}/{world.source}:late", "2")]
    push_id = str(uuid.uuid4())
    assert actions(world.push(*request, push_id=push_id)) == ["copied", "failed"]
    world.put_a(multi_arch("late"), "late")
    report = world.push(*request, push_id=push_id)
    assert (report.state, actions(report)) == ("succeeded", ["unchanged", "copied"])
    assert {tag.action for tag in world.client.undo(push_id).tags} == {"deleted"}


def test_a_succeeded_push_that_is_sent_again_is_the_same_push(world: World) -> None:
    """Rule 7.3: one report, and no request to B."""
    request = world.item(world.put_a(multi_arch()))
    push_id = str(uuid.uuid4())
    first = world.push(request, push_id=push_id)
    before = len(world.b.requests())
    assert world.push(request, push_id=push_id) == first
    assert len(world.b.requests()) == before


def test_verify_finds_what_is_as_reported_and_what_is_not(world: World) -> None:
    source = multi_arch()
    report = world.push(world.item(world.put_a(source), "1", "2"))
    assert world.client.verify(report.push_id).state == "verified"
    world.put_b(multi_arch("other"), "2")
    gone = source.members[0].digest
    requests.delete(f"{world.b.url}/v2/{world.destination}/manifests/{gone}", timeout=10).raise_for_status()
    verification = world.client.verify(report.push_id)
    assert verification.state == "broken"
    assert [tag.missing for tag in verification.tags] == [[gone], []]
    assert verification.tags[1].found_digest != verification.tags[1].expected_digest


def test_undo_puts_every_tag_back_and_deletes_new_ones(world: World) -> None:
    """Rule 6.6."""
    old = index([image("linux/s390x")])
    world.put_b(old, "merged")
    world.put_b(multi_arch("old"), "replaced")
    before = {tag: world.stored.manifest(world.destination, tag) for tag in ("merged", "replaced")}
    report = world.push(world.item(world.put_a(multi_arch()), "merged", "replaced", "new", "newer"))
    assert actions(report) == ["merged", "copied", "copied", "copied"]
    undone = world.client.undo(report.push_id)
    assert undone.state == "succeeded"
    assert {tag.reference.rpartition(":")[2]: tag.action for tag in undone.tags} == {
        "merged": "restored",
        "replaced": "restored",
        "new": "deleted",
        "newer": "deleted",
    }
    assert {tag: world.stored.manifest(world.destination, tag) for tag in before} == before
    assert world.stored.tags(world.destination) == ["merged", "replaced"]


def test_undo_leaves_a_tag_that_someone_else_moved_since(world: World) -> None:
    report = world.push(world.item(world.put_a(multi_arch())))
    other = multi_arch("other")
    world.put_b(other)
    undone = world.client.undo(report.push_id)
    assert (undone.state, [tag.action for tag in undone.tags]) == ("failed", ["moved"])
    assert world.stored.digest(world.destination, "1") == other.digest


def test_undo_does_not_take_along_a_tag_that_was_there_before(world: World) -> None:
    """A registry that deletes digests only would take all tags of the digest along: it is said instead."""
    source = multi_arch()
    world.put_b(source, "before")
    report = world.push(world.item(world.put_a(source), "new"))
    (tag,) = world.client.undo(report.push_id).tags
    assert tag.action == "failed"
    assert tag.error is not None
    assert "before" in tag.error.message
    assert world.stored.tags(world.destination) == ["before", "new"]


def test_preview_says_what_a_push_would_do_and_writes_nothing(world: World) -> None:
    source = multi_arch()
    world.put_b(index([image("linux/s390x")]), "old")
    other = f"{world.name}/other"
    item = world.item(world.put_a(source), "old", "new")
    item["destinations"][f"{world.b.host}/{other}"] = ["1"]
    before = [request for request in world.b.requests() if request.method not in {"GET", "HEAD"}]
    preview = world.client.preview({"items": [item]})
    assert [(tag.action, tag.kept_platforms) for tag in preview.items[0].tags] == [
        ("merged", ["linux/s390x"]),
        ("copied", []),
        ("copied", []),
    ]
    moved = {
        place.repository.partition("/")[2]: (place.blobs_copied, place.blobs_mounted)
        for copy in preview.copies
        for place in copy.repositories
    }
    assert moved == {world.destination: (2, 0), other: (0, 2)}
    assert [request for request in world.b.requests() if request.method not in {"GET", "HEAD"}] == before
    assert world.stored.tags(world.destination) == ["old"]


@pytest.mark.parametrize("request_", [None, [], "text", {"items": [{"source": "x"}]}, {"items": 3}])
def test_an_invalid_request_is_refused_whole(world: World, request_: object) -> None:
    """Rule 1.2."""
    if isinstance(request_, dict):
        assert world.refused(request_)


def test_all_faults_are_reported_and_nothing_is_written(world: World) -> None:
    """Rule 1.2: the good item is not pushed either."""
    good = world.item(world.put_a(multi_arch()))
    bad = {"source": "no-tag", "destinations": {f"{world.b.host}/UPPER": ["-bad"], f"{world.b.host}/x": []}}
    faults = world.refused({"items": [good, bad], "colour": "red"})
    assert [(fault["item"], fault["field"]) for fault in faults] == [
        (None, "colour"),
        (1, "source"),
        (1, f"destinations.{world.b.host}/UPPER"),
        (1, f"destinations.{world.b.host}/UPPER"),
        (1, f"destinations.{world.b.host}/x"),
    ]
    assert world.stored.tags(world.destination) == []


def test_seed_form_with_quay_names(world: World) -> None:
    """Rules 1.1 and 1.4: an empty `sources_for_nvr` marks nothing; `ns/repo` becomes `ns----repo`."""
    source, sources = multi_arch(), images.source_image()
    push_items = [
        {
            "metadata": {
                "pull_url": world.put_a(source),
                "tags": {f"{world.name}/app": ["1"], world.name: ["2"]},
                "build": {"extra": {"image": {"sources_for_nvr": ""}}},
            }
        },
        {
            "metadata": {
                "pull_url": world.put_a(sources, "src"),
                "tags": {f"{world.name}/app-source": ["1"]},
                "build": {"extra": {"image": {"sources_for_nvr": "app-1-1"}}},
            }
        },
    ]
    settings = {"quay_host": f"{world.b.host}/", "quay_namespace": "shop", "skopeo_image": "ignored"}
    push_id = str(uuid.uuid4())
    world.client.send({"push_items": push_items, "target_settings": settings}, push_id)
    report = world.client.wait(push_id)
    assert [item.kind for item in report.items] == ["multi-arch", "source"]
    assert [tag.reference for item in report.items for tag in item.tags] == [
        f"{world.b.host}/shop/{world.name}----app:1",
        f"{world.b.host}/shop/{world.name}:2",
        f"{world.b.host}/shop/{world.name}----app-source:1",
    ]
    assert world.stored.digest(f"shop/{world.name}----app", "1") == source.digest


def test_the_report_fits_the_contract_to_the_letter(world: World) -> None:
    report = world.push(world.item(world.put_a(multi_arch())))
    assert msgspec.json.decode(json.dumps(msgspec.to_builtins(report)), type=contract.PushReport) == report


def _blobs(node: images.Node) -> dict[str, bytes]:
    assert isinstance(node, images.Image)
    return dict(node.blobs)
