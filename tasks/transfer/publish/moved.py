"""The result of the move of one tag."""

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError
from tasks.transfer.plan.decide import Current
from tasks.transfer.plan.selected_referrers import NOTHING, Along
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.stage import Staged


class Moved(msgspec.Struct, frozen=True):
    """The result of a move: the intent, the manifest that the tag holds, and the number of manifests written.

    `brought` are the referrers that came along.
    """

    intent: TagIntent
    held: Current
    manifests: int = 0
    brought: Along = NOTHING
    skip: ImagePusherError | None = None

    def report(self, reference: str) -> contract.TagReport:
        """Return the report of the tag."""
        report = contract.TagReport(
            reference=reference,
            action=self.intent.action,
            old_digest=self.intent.old_digest,
            new_digest=self.intent.new_digest,
            kept_platforms=self.intent.kept_platforms,
            warnings=self.intent.warnings,
            protective_tag=self.intent.protective_tag,
            error=None if self.skip is None else contract.Fault.of(self.skip),
        )
        return self.brought.told(report)


def skipped(staged: Staged, skip: ImagePusherError) -> Moved:
    """Return the result of a tag that stays because it holds a newer image (BEHAVIOUR 10.4)."""
    held = staged.held or staged.decision.held
    intent = TagIntent(action="skipped", old_digest=held.digest, new_digest=held.digest)
    return Moved(intent, held, skip=skip)
