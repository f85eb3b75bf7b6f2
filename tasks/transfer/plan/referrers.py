"""The referrers of a source image that go along with it (BEHAVIOUR 9.1, 9.2)."""

from collections.abc import Mapping

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError
from tasks.oci.digest import Digest
from tasks.oci.referrers import Referrer


class PlannedReferrer(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest that goes along with an image; `tag` is its cosign tag, None for an OCI referrer.

    `subject` is the digest that it refers to; `root` is the index, or the entry of it, to which the subject leads.
    """

    referrer: Referrer
    subject: Digest
    root: Digest
    tag: str | None = None

    @property
    def digest(self) -> Digest:
        """The digest of the manifest itself."""
        return self.referrer.digest

    def left(self, reason: contract.LeftReason, error: ImagePusherError | None = None) -> contract.ReferrerLeft:
        """Return the report entry for a referrer that was left behind."""
        fault = None if error is None else contract.Fault.of(error)
        return contract.ReferrerLeft(
            digest=self.digest, artifact_type=self.referrer.artifact_type, reason=reason, error=fault
        )


class FoundReferrers(msgspec.Struct, frozen=True):
    """The referrers of one image; `error` tells that the source may have more, `manifests` are those that were read."""

    referrers: tuple[PlannedReferrer, ...] = ()
    error: ImagePusherError | None = None
    manifests: Mapping[Digest, bytes] = msgspec.field(default_factory=dict)
