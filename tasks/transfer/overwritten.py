"""The manifest that a late write of ours replaced at a tag (BEHAVIOUR 7.6).

No registry has a fence: a process that stood still between the check of its lock and its write may replace what
another one of ours wrote meanwhile. The record beside the lock of the tag tells so.
"""

import logging
from typing import Final

import msgspec

from tasks.errors import NotFound, TagConflict
from tasks.oci.digest import Digest, parse_digest
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Repository
from tasks.transfer.ports import TagLock, TagRecord

LOG: Final = logging.getLogger(__name__)


class Overwritten(msgspec.Struct, frozen=True):
    """A replaced manifest; `is_served` tells whether its registry still has it."""

    manifest: FetchedManifest
    is_served: bool


def find_overwritten(
    repository: Repository, tag: str, held: Digest | None, record: TagRecord, lock: TagLock
) -> Overwritten | None:
    """Return the manifest of ours that a late write of `held` replaced, None if there is none.

    If the registry dropped it, its bytes are those that were kept with the lock. Raises TagConflict if nobody has them.
    """
    lost = record.overwritten_by(held)
    if lost is None:
        return None
    LOG.warning("%s:%s: a late write of a push replaced %s, which is restored", repository, tag, lost)
    try:
        return Overwritten(repository.fetch_manifest(lost), is_served=True)
    except NotFound:
        kept = lock.kept(lost)
    if kept is None:
        raise lost_for_good(repository, tag, lost)
    return Overwritten(FetchedManifest(kept.content, kept.media_type, parse_digest(lost)), is_served=False)


def lost_for_good(repository: Repository, tag: str, digest: str) -> TagConflict:
    """Return the error for a replaced manifest that cannot be had any more."""
    return TagConflict(
        f"A late write replaced {digest} at {repository}:{tag}, and the registry has it no longer. Push again the image"
        " that was pushed there last."
    )
