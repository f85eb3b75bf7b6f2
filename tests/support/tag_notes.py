"""The notes of a held tag on what others wrote, which every kind of tag lock keeps alike."""

from tasks.transfer.ports import TagLock, TagRecord, Writer, Written


def check_notes_of_others(lock: TagLock) -> None:
    """Check that what others wrote is noted unless a push wrote since.

    Rule 7.6: a late write over it is mended from the note, and what they removed is not brought back.
    """
    ours, theirs = (Written(f"sha256:{name}", "application/json", b"{\n}\n") for name in "ab")
    one, two = Writer("p", "1"), Writer("q", "2")
    lock.note_writing(ours.digest, None, one)
    lock.note_writing(ours.digest, None, two)
    lock.note_begun(ours.digest, one)
    assert lock.record().push_that_wrote(ours.digest) == "p"
    lock.note_seen(theirs, None)
    assert (lock.record().last, lock.kept(theirs.digest)) == (theirs.digest, theirs)
    lock.note_written(ours, one)
    lock.note_seen(theirs, theirs.digest)
    record = lock.record()
    assert (record.last, record.writer, lock.kept(ours.digest)) == (ours.digest, one, ours)
    assert (record.has_verified(ours.digest, "p"), record.has_verified(ours.digest, "q")) == (True, False)
    lock.drop_writing(ours.digest, two)
    lock.note_seen(None, ours.digest)
    assert (lock.record(), lock.kept(ours.digest)) == (TagRecord(), None)
