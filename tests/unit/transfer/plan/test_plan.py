"""Which digests a plan copies, and from where."""

import msgspec

from tasks.errors import ImagePusherError, SourceMissing
from tasks.oci.reference import Reference
from tasks.transfer.plan.findings import Findings
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.make_plan import plan_push
from tasks.transfer.plan.plan import Copy, Plan
from tasks.transfer.plan.referrers import FoundReferrers
from tests.support.plans import planned_copy, planned_tag
from tests.unit.transfer.plan.sources import single
from tests.unit.transfer.request.requests import item, read


def found_in(repository: str, image: SourceImage) -> SourceImage:
    return msgspec.structs.replace(image, reference=Reference("a.example", repository, None, image.digest))


def plan_of(*found: SourceImage | ImagePusherError) -> Plan:
    """Plan a push of one item for each image, to a tag of its own in a repository of its own."""
    order = read({"items": [item(destinations={f"b.example/x{each}": ["1"]}) for each in range(len(found))]})
    tags = [[planned_tag(f"b.example/x{each}:1")] for each in range(len(found))]
    findings = Findings(found, tags, [FoundReferrers()] * len(found))
    return plan_push(order, findings, push_id="p", created=1.0)


def test_a_digest_is_copied_once_from_wherever_it_was_found() -> None:
    """Rules 5.1 and 6.2: each source once, in the order of the items."""
    image = single("linux/amd64")
    copies = plan_of(*(found_in(name, image) for name in ("src", "two", "src", "three"))).copies
    assert [(copy.source, copy.spare_sources) for copy in copies] == [
        (("a.example", "src"), [("a.example", "two"), ("a.example", "three")])
    ]
    assert copies[0].destinations == [("b.example", f"x{each}") for each in range(4)]


def test_a_source_that_could_not_be_read_is_none() -> None:
    """Rule 6.2."""
    image = single("linux/amd64")
    (copy,) = plan_of(SourceMissing("gone"), found_in("two", image)).copies
    assert (copy.source, copy.spare_sources) == (("a.example", "two"), [])


def test_a_copy_that_was_stored_without_further_sources_is_read() -> None:
    """A push that is under way survives an update of its workers."""
    copy = planned_copy("sha256:a")
    stored = msgspec.to_builtins(copy)
    del stored["spare_sources"]
    assert msgspec.convert(stored, Copy) == copy
