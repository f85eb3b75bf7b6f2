"""The tags under which a registry's clients find the referrers of an image: lists that several signers add to.

Two writers of such a list can lose each other's entries. So the list is read under its lock, united with the new
entries, written, and read again (BEHAVIOUR 9.3). A tag that holds anything but such a list is left alone.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tasks.errors import ManifestInvalid, NotFound, TagConflict
from tasks.oci import media_types
from tasks.oci.cosign_tags import Signatures, describe_cosign, lacking, unite
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, digest_of
from tasks.oci.manifest import parse_manifest
from tasks.oci.referrers import Referrer, describe, fallback_tag, parse_list, with_entries
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.transfer.overwritten import find_overwritten
from tasks.transfer.ports import TagLocks, Written
from tasks.transfer.publish.small_blobs import store_blob

LOG: Final = logging.getLogger(__name__)
_ROUNDS: Final = 8
_CONFIG_BYTES: Final = 4 * 1024 * 1024


class _Wanted(msgspec.Struct, frozen=True):
    """The wanted manifest of a tag."""

    content: bytes
    media_type: str


class ListWrite(msgspec.Struct, frozen=True):
    """The write of a list: the digests of the tag before and after it; None before for a new list."""

    before: Digest | None
    after: Digest


class ListTag:
    """One tag of one repository that holds a list."""

    def __init__(self, repository: Repository, tag: str, locks: TagLocks) -> None:
        self._repository = repository
        self._tag = tag
        self._locks = locks

    def __str__(self) -> str:
        return f"{self._repository}:{self._tag}"

    def add_entries(self, subject: Digest, entries: Sequence[Referrer]) -> ListWrite | None:
        """Add referrers of a digest to its fallback index ("Referrers Tag Schema").

        Return None if all of them are there. Raises TagConflict.
        """

        def united(held: Sequence[FetchedManifest]) -> _Wanted:
            lists = [each for each in held if self._is_list(each, subject)]
            content = with_entries([each.content for each in lists], entries)
            return _Wanted(content, media_types.OCI_INDEX)

        return self._write(united)

    def add_signatures(self, ours: FetchedManifest) -> ListWrite | None:
        """Add all layers of a manifest to a tag of cosign.

        Return None if all of them are there. Raises TagConflict.
        """
        # If the tag holds `ours` already, a late write of ours may have replaced a longer list (BEHAVIOUR 7.6).
        return self._write(lambda held: self._united(ours, held))

    def _united(self, ours: FetchedManifest, held: Sequence[FetchedManifest]) -> _Wanted:
        for each in held:
            try:
                describe_cosign(each.content, each.media_type, each.digest)
            except ManifestInvalid:
                raise self._taken() from None
        if not any(lacking(ours.content, each.content) for each in held):
            return _Wanted(ours.content, ours.media_type)
        known = [self._with_config(each) for each in held]
        united = unite(known, self._with_config(ours))
        if united.config not in {each.config for each in known}:
            self._store(united.config, _config_of(united.content))
        return _Wanted(united.content, held[0].media_type)

    def _with_config(self, manifest: FetchedManifest) -> Signatures:
        try:
            content = self._repository.read_blob(_config_of(manifest.content), _CONFIG_BYTES)
        except NotFound:
            content = b""
        return Signatures(manifest.content, content)

    def _store(self, content: bytes, config: Descriptor) -> None:
        if content:
            store_blob(self._repository, content, config)

    def _is_list(self, held: FetchedManifest, subject: Digest) -> bool:
        """Return True for a list of referrers, False for an absent tag; raises TagConflict for anything else."""
        if held.digest == subject:
            # GitLab answers for an absent tag with the manifest of the digest in its name.
            return False
        try:
            entries = parse_list(held.content) if held.media_type in media_types.INDEXES else None
        except ValueError:
            entries = None
        if entries is None or (entries and not any(self._refers(entry, subject) for entry in entries)):
            raise self._taken()
        return True

    def _refers(self, entry: Referrer, subject: Digest) -> bool:
        try:
            fetched = self._repository.fetch_manifest(entry.digest)
            return describe(fetched.content, fetched.media_type, fetched.digest)[1] == subject
        except (NotFound, ManifestInvalid):
            return False

    def _taken(self) -> TagConflict:
        return TagConflict(f"{self} holds something that is no list of referrers, and is left alone.")

    def _write(self, unite_with: Callable[[Sequence[FetchedManifest]], _Wanted]) -> ListWrite | None:
        """Write the union that `unite_with` makes with the list there, until it stays; return None for no change.

        Raises TagConflict, LockLost.
        """
        with self._locks.hold(str(self)) as lock:
            for _ in range(_ROUNDS):
                held = self._read()
                record = lock.record()
                parts = [held] if held is not None else []
                over = held.digest if held is not None else None
                overwritten = find_overwritten(self._repository, self._tag, over, record, lock)
                if overwritten is not None:
                    parts.append(overwritten.manifest)
                wanted = unite_with(parts)
                digest = digest_of(wanted.content)
                if held is not None and held.digest == digest:
                    if record.may_lose(digest):
                        # A late write of ours that replaces it is mended from the note (BEHAVIOUR 7.6).
                        lock.ensure()
                        lock.note_written(Written(digest, held.media_type, held.content))
                    return None
                lock.ensure()
                lock.note_writing(digest, record.last)
                if self._put(over, wanted, digest):
                    lock.ensure()
                    lock.note_written(Written(digest, wanted.media_type, wanted.content))
                    # GitLab answers for an absent list with the manifest of the digest in its name.
                    is_new = held is None or fallback_tag(held.digest) == self._tag
                    return ListWrite(None if is_new or held is None else held.digest, digest)
                LOG.warning("%s was written by someone else meanwhile: the two are united again", self)
        raise TagConflict(f"{self} was written by someone else {_ROUNDS} times while it was being added to.")

    def _put(self, over: Digest | None, wanted: _Wanted, digest: Digest) -> bool:
        """Write over the manifest that was read, and look again; return False if someone else wrote meanwhile."""
        if self._repository.digest_at(self._tag) != over:
            return False
        try:
            self._repository.push_manifest(self._tag, wanted.content, wanted.media_type, over=over)
        except TagConflict:
            return False
        return self._repository.digest_at(self._tag) == digest

    def _read(self) -> FetchedManifest | None:
        try:
            return self._repository.fetch_manifest(self._tag)
        except NotFound:
            return None


def _config_of(content: bytes) -> Descriptor:
    try:
        config = parse_manifest(content, media_types.OCI_MANIFEST).config
    except ValueError as error:
        raise ManifestInvalid(f"A manifest under a tag of cosign is not valid: {error}.") from None
    if config is None:
        raise ManifestInvalid("A manifest under a tag of cosign names no configuration.")
    return config
