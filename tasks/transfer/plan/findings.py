"""What was found about the items of a push: the input of its plan."""

from collections.abc import Sequence

import msgspec

from tasks.errors import ImagePusherError
from tasks.oci.digest import Digest
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.plan.referrers import FoundReferrers


class Findings(msgspec.Struct, frozen=True):
    """The source of each item, its planned tags, and what refers to its image; errors take the place of what failed."""

    sources: Sequence[SourceImage | ImagePusherError]
    tags: Sequence[Sequence[PlannedTag]]
    referrers: Sequence[FoundReferrers]

    @property
    def images(self) -> list[SourceImage]:
        """The sources that could be read."""
        return [found for found in self.sources if isinstance(found, SourceImage)]

    @property
    def errors(self) -> list[ImagePusherError]:
        """The errors of the sources, then of the referrers, then of the tags."""
        of_sources = [found for found in self.sources if isinstance(found, ImagePusherError)]
        of_referrers = [found.error for found in self.referrers if found.error is not None]
        return of_sources + of_referrers + [tag.error for tags in self.tags for tag in tags if tag.error is not None]

    def contents(self) -> dict[Digest, bytes]:
        """Return the bytes of the manifests that were read, by their digests: copies need not read them again."""
        contents: dict[Digest, bytes] = {}
        for image in self.images:
            contents |= {**image.manifests, image.original_digest: image.original_content}
        for found in self.referrers:
            contents |= found.manifests
        return contents
