"""Put the old manifest of a tag back (BEHAVIOUR 6.6)."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.errors import CopyIncomplete, DestinationChildMissing, LockLost, NotFound
from tasks.oci.digest import Digest
from tasks.registry.repository import Repository
from tasks.transfer.overwritten import find_overwritten
from tasks.transfer.plan.read_image import judged_media_type
from tasks.transfer.ports import DELETED, TagIntent, TagLock, TagLocks, Writer, Written
from tasks.transfer.undo.mark import Mark


class Restoring:
    """The writes of old manifests; `content_of` returns the kept bytes of those that a registry no longer serves."""

    def __init__(self, locks: TagLocks, content_of: Callable[[str], bytes | None]) -> None:
        self._locks = locks
        self._content_of = content_of

    def restore(self, mark: Mark, repository: Repository, lock: TagLock, over: Digest | None) -> None:
        """Write the old manifest under the lock of its tag, over the digest `over`; raises LockLost, RegistryError."""
        record = lock.record()
        old = self._old(mark.intent, repository)
        with self._announced(mark, repository, lock, old.digest, record.last) as writer:
            try:
                repository.push_manifest(mark.reference.identifier, old.content, old.media_type, over=over)
            except CopyIncomplete as error:
                raise DestinationChildMissing(
                    f"{mark.reference} cannot be put back to {old.digest}: the registry has lost parts of it."
                    f" {error.message}"
                ) from None
        lock.note_written(old, writer, record.writer if record.last == old.digest else None)

    @contextmanager
    def deleting(self, mark: Mark, repository: Repository, lock: TagLock) -> Iterator[None]:
        """Let a tag be deleted in the context, under its lock; raises LockLost."""
        with self._announced(mark, repository, lock, DELETED, lock.record().last) as writer:
            yield
        lock.drop_writing(DELETED, writer)

    @contextmanager
    def _announced(
        self, mark: Mark, repository: Repository, lock: TagLock, digest: str, last: str | None
    ) -> Iterator[Writer]:
        """Let a digest be written over `last`, which was read before; raises LockLost.

        What is noted is of a time at which the lock was held: a late write is recognised by it (BEHAVIOUR 7.6).
        """
        writer = Writer("", uuid.uuid4().hex)
        lock.note_writing(digest, last, writer)
        try:
            lock.ensure()
        except LockLost:
            lock.drop_writing(digest, writer)
            raise
        yield writer
        try:
            # The process may have stood still before the write, for longer than the lease of its lock.
            lock.ensure()
        except LockLost:
            self._mend(mark, repository, None if digest == DELETED else digest)
            raise

    def _mend(self, mark: Mark, repository: Repository, late: str | None) -> None:
        """Write again what a late write of an old manifest, or a late deletion, replaced.

        Raises LockLost, LockUnavailable, TagConflict.
        """
        with self._locks.hold(mark.locked) as lock:
            # A release holds the lock that was lost, and looks at its tags again when it has taken all locks again.
            lock.ensure()
            tag = mark.reference.identifier
            held = repository.digest_at(tag)
            if held != late:
                return
            record = lock.record()
            overwritten = find_overwritten(repository, tag, held, record, lock)
            if overwritten is None:
                return
            lost = overwritten.manifest
            restored = Written(lost.digest, judged_media_type(lost), lost.content)
            repository.push_manifest(tag, restored.content, restored.media_type, over=held)
            lock.note_written(restored, whose=record.writer)

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
