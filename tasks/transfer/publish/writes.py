"""Write the manifest of a tag; a part that was collected meanwhile is copied again, once (BEHAVIOUR 5.5)."""

from tasks.errors import CopyIncomplete, TagConflict
from tasks.oci.digest import Digest
from tasks.registry.repository import Repository
from tasks.transfer.plan.decide import Current, Decision
from tasks.transfer.publish.held_manifests import Sightings
from tasks.transfer.publish.stage import Stage


class Writes:
    """The writes of one move; `seen` are the manifests found at the destination moments ago."""

    def __init__(self, repository: Repository, stage: Stage, seen: Sightings) -> None:
        self._repository = repository
        self._stage = stage
        self._seen = seen
        self._healed = False

    def store(self, reference: str, manifest: Decision | Current) -> None:
        """Store a manifest under a reference at which nobody else writes."""
        try:
            self._repository.push_manifest(reference, manifest.content, manifest.media_type)
        except CopyIncomplete as error:
            self._heal(error)
            self._repository.push_manifest(reference, manifest.content, manifest.media_type)

    def write(self, tag: str, decision: Decision, over: Digest | None) -> bool:
        """Write the tag; return False if another round is due."""
        try:
            self._repository.push_manifest(tag, decision.content, decision.media_type, over=over)
        except TagConflict:
            return False
        except CopyIncomplete as error:
            self._heal(error)
            return False
        return True

    def _heal(self, error: CopyIncomplete) -> None:
        """Copy a part again that was collected after the last look, once."""
        if self._healed:
            raise error
        self._healed = True
        self._seen.forget(self._repository)
        self._stage.ensure_needs()
