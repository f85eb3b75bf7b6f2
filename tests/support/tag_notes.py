"""The notes of a held tag on what others wrote, which every kind of tag lock keeps alike."""

from tasks.transfer.ports import TagLock, TagRecord, Writer, Written


def check_notes_of_others(lock: TagLock) -> None:
    """Check that what others wrote is noted unless a push wrote since.

    Rule 7.6: a late write over it is mended from the note, and what they removed is not brought back.
    """
    ours, theirs = (Written(f"sha256:{name}", "application/json", b"{\n}\n") for name in "ab")
    one, two = Writer("p", "1"), Writer("q", "2")
    lock.note_seen(theirs, None)
    assert (lock.record().last, lock.kept(theirs.digest)) == (theirs.digest, theirs)
    lock.note_writing(ours.digest, theirs.digest, one)
    lock.note_writing(ours.digest, theirs.digest, two)
    lock.note_begun(ours.digest, one)
    assert lock.record().push_that_wrote(ours.digest) == "p"
    lock.note_written(ours, one)
    lock.note_seen(theirs, theirs.digest)
    record = lock.record()
    assert (record.last, record.writer, lock.kept(ours.digest)) == (ours.digest, one, ours)
    verified = [record.has_verified(ours.digest, each, by_another=False) for each in (one, two)]
    assert verified == [True, False]
    lock.drop_writing(ours.digest, two)
    lock.note_seen(None, ours.digest)
    assert (lock.record(), lock.kept(ours.digest)) == (TagRecord(), None)


def check_notes_of_a_writer_that_stood_still(lock: TagLock) -> None:
    """Check that a write that others saw and replaced is not noted as the last one, and counts as made (7.6, 7.7)."""
    ours, theirs = (Written(f"sha256:{name}", "application/json", b"{\n}\n") for name in "ab")
    one, two = Writer("p", "1"), Writer("q", "2")
    lock.note_writing(ours.digest, None, one)
    lock.note_begun(ours.digest, one)
    assert not lock.record().has_verified(ours.digest, one, by_another=False)
    lock.note_landed(ours.digest, lock.record().begun[ours.digest])
    lock.note_seen(ours, None)
    lock.note_writing(theirs.digest, ours.digest, two)
    lock.note_written(theirs, two)
    assert lock.record().has_verified(ours.digest, one, by_another=False)
    lock.note_written(ours, one)
    record = lock.record()
    assert (record.last, record.writer, lock.kept(theirs.digest)) == (theirs.digest, two, theirs)
    assert (record.under_way, record.begun, record.landed) == ({}, {}, frozenset())
    lock.note_writing(theirs.digest, theirs.digest, one)
    lock.note_written(theirs, one, whose=two)
    assert lock.record().writer == two
