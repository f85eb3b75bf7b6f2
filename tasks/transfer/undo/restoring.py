"""Put the old manifest of a tag back (BEHAVIOUR 6.6)."""

import uuid
from collections.abc import Callable

from tasks.errors import CopyIncomplete, DestinationChildMissing, LockLost, NotFound
from tasks.oci.digest import Digest
from tasks.registry.repository import Repository
from tasks.transfer.overwritten import find_overwritten
from tasks.transfer.plan.read_image import judged_media_type
from tasks.transfer.ports import TagIntent, TagLock, TagLocks, Writer, Written
from tasks.transfer.undo.mark import Mark


class Restoring:
    """The writes of old manifests; `content_of` returns the kept bytes of those that a registry no longer serves."""

    def __init__(self, locks: TagLocks, content_of: Callable[[str], bytes | None]) -> None:
        self._locks = locks
        self._content_of = content_of

    def restore(self, mark: Mark, repository: Repository, lock: TagLock, over: Digest | None) -> None:
        """Write the old manifest under the lock of its tag, over the digest `over`; raises LockLost, RegistryError."""
        writer, last = Writer("", uuid.uuid4().hex), lock.record().last
        old = self._old(mark.intent, repository)
        lock.note_writing(old.digest, last, writer)
        try:
            # What was noted is of a time at which the lock was held: a late write is recognised by it (BEHAVIOUR 7.6).
            lock.ensure()
        except LockLost:
            lock.drop_writing(old.digest, writer)
            raise
        try:
            repository.push_manifest(mark.reference.identifier, old.content, old.media_type, over=over)
        except CopyIncomplete as error:
            raise DestinationChildMissing(
                f"{mark.reference} cannot be put back to {old.digest}: the registry has lost parts of it."
                f" {error.message}"
            ) from None
        try:
            # The process may have stood still before the write, for longer than the lease of its lock.
            lock.ensure()
        except LockLost:
            self._mend(mark, repository, old)
            raise
        lock.note_written(old, writer)

    def _mend(self, mark: Mark, repository: Repository, late: Written) -> None:
        """Write again what a late write of an old manifest replaced; raises LockLost, LockUnavailable, TagConflict."""
        with self._locks.hold(mark.locked) as lock:
            # A release holds the lock that was lost, and looks at its tags again when it has taken all locks again.
            lock.ensure()
            tag = mark.reference.identifier
            held = repository.digest_at(tag)
            if held != late.digest:
                return
            overwritten = find_overwritten(repository, tag, held, lock.record(), lock)
            if overwritten is None:
                return
            lost = overwritten.manifest
            restored = Written(lost.digest, judged_media_type(lost), lost.content)
            repository.push_manifest(tag, restored.content, restored.media_type, over=held)
            lock.note_written(restored)

    def _old(self, intent: TagIntent, repository: Repository) -> Written:
        """Return the replaced manifest, from the registry or from the kept bytes (BEHAVIOUR 6.6)."""
        digest = str(intent.old_digest)
        try:
            fetched = repository.fetch_manifest(digest)
        except NotFound:
            content = self._content_of(digest)
            if content is None:
                raise
            return Written(digest, intent.old_media_type, content)
        return Written(digest, judged_media_type(fetched), fetched.content)
