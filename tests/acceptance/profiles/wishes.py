"""The wish for a tag, for tests that move tags of their own registry: an index that is there with all its images."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tasks.oci.digest import digest_of
from tasks.oci.document import parse_document
from tasks.oci.reference import Reference
from tasks.transfer.plan.decide import MergePolicy
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.publish.held_manifests import Sightings
from tasks.transfer.publish.stage import Wish
from tests.support.images import Index


def wish(source: Index) -> Wish:
    """Return the wish for an index; a copy that is asked for again fails the test."""
    digest = digest_of(source.manifest)
    image = SourceImage(
        reference=Reference("a.example", "app", None, digest),
        kind="multi-arch",
        media_type=source.media_type,
        content=source.manifest,
        digest=digest,
        original_digest=digest,
        original_content=source.manifest,
        document=parse_document(source.manifest, source.media_type),
    )

    def recopy(copy: object) -> Any:
        raise AssertionError(f"{copy} is there")

    seen = Sightings(ThreadPoolExecutor(1))
    return Wish(image, MergePolicy(), drop_missing_children=False, recopy=recopy, seen=seen)
