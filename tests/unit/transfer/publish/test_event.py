"""What is told of a tag that moved."""

from tasks import contract
from tasks.oci.digest import parse_digest
from tasks.transfer.plan.decide import Current
from tasks.transfer.publish.event import moved_tag
from tests.support.images import Image, Index, attestation, image, index, layer
from tests.support.plans import planned_tag, resolved_item

REPORT = contract.TagReport(reference="b.example.com/team/app:1", action="merged", old_digest="sha256:old")


def event(node: Image | Index) -> contract.TagMoved:
    """Return the event of a tag that holds `node`."""
    planned = planned_tag(REPORT.reference, "merged")
    item = resolved_item(planned, source="a.example.com/app:1")
    held = Current(parse_digest(node.digest), node.media_type, node.manifest)
    return moved_tag("push", item, planned, REPORT, held)


def test_platforms_are_told_in_the_order_of_the_index_and_of_several_for_one_the_first() -> None:
    amd64, arm64 = image("linux/amd64"), image("linux/arm64/v8")
    other = image("linux/amd64", [layer("other", 10)])
    told = event(index([arm64, amd64, other, attestation(amd64)]))
    assert list(told.platforms.items()) == [("linux/arm64/v8", arm64.digest), ("linux/amd64", amd64.digest)]


def test_the_new_digest_is_that_of_what_the_tag_holds() -> None:
    held = index([image("linux/amd64")])
    told = event(held)
    assert (told.new_digest, told.old_digest, told.action) == (held.digest, "sha256:old", "merged")
    assert (told.reference, told.repository, told.tag) == ("b.example.com/team/app:1", "b.example.com/team/app", "1")


def test_of_an_image_whose_platform_is_not_known_none_is_told() -> None:
    assert event(image("linux/amd64")).platforms == {}
