"""No byte of a blob is committed that was not verified, wherever a transfer goes on (BEHAVIOUR 2.4, 5.3)."""

import random

import pytest

from tasks.errors import ContentMismatch, PushCancelled
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, digest_of
from tasks.registry.blob.verified import Passage
from tests.support.readers import MemoryReader

MIB = 1 << 20
CONTENT = random.Random("passage").randbytes(100)


def passage(source: MemoryReader, content: bytes = CONTENT, digest: Digest | None = None) -> tuple[Passage, list[int]]:
    done: list[int] = []
    descriptor = Descriptor("application/octet-stream", digest or digest_of(content), len(content))
    return Passage(descriptor, source, done.append), done


def test_the_content_passes_in_pieces_and_is_reported() -> None:
    subject, done = passage(MemoryReader(CONTENT, 10))
    body = subject.body(0)
    assert len(body) == 100
    assert b"".join(body) == CONTENT
    assert done == list(range(10, 101, 10))
    assert (subject.finished, subject.reached) == (True, 100)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_any_registered_algorithm_is_verified(algorithm: str) -> None:
    subject, _ = passage(MemoryReader(CONTENT, 10), digest=digest_of(CONTENT, algorithm))
    assert b"".join(subject.body(0)) == CONTENT
    other, _ = passage(MemoryReader(CONTENT[::-1], 10), digest=digest_of(CONTENT, algorithm))
    with pytest.raises(ContentMismatch):
        b"".join(other.body(0))


@pytest.mark.parametrize("place", [0, 50, 99])
def test_the_end_of_other_content_is_never_handed_over(place: int) -> None:
    """5.3: one byte is flipped; a registry that gets less than it was promised commits nothing."""
    flipped = bytearray(CONTENT)
    flipped[place] ^= 1
    subject, _ = passage(MemoryReader(bytes(flipped), 10))
    passed: list[bytes] = []
    with pytest.raises(ContentMismatch):
        passed.extend(map(bytes, subject.body(0)))
    assert (len(b"".join(passed)), subject.finished) == (90, False)


@pytest.mark.parametrize("offset", [0, 1, 10, 55, 99, 100])
def test_a_body_may_start_anywhere_and_anew(offset: int) -> None:
    """5.3."""
    source = MemoryReader(CONTENT, 10)
    subject, done = passage(source)
    b"".join(subject.body(0))
    body = subject.body(offset)
    assert len(body) == 100 - offset
    for _ in range(2):
        done.clear()
        assert b"".join(body) == CONTENT[offset:]
        assert done == [at for at in range(10, 101, 10) if at > offset]
        assert subject.finished


def test_a_later_start_is_verified_from_the_first_byte_on() -> None:
    """5.3: what was sent before the interruption counts as well."""
    subject, _ = passage(MemoryReader(b"x" + CONTENT[1:]))
    with pytest.raises(ContentMismatch):
        b"".join(subject.body(50))


def test_a_body_that_ends_early_is_not_finished() -> None:
    subject, _ = passage(MemoryReader(CONTENT, 10))
    pieces = iter(subject.body(0))
    next(pieces)
    assert (subject.finished, subject.reached) == (False, 10)
    b"".join(subject.body(0))
    next(iter(subject.body(0)))
    assert (subject.finished, subject.reached) == (False, 100)


def test_a_big_blob_is_not_read_again_from_its_start() -> None:
    """5.3: at most 16 MiB before the place where it goes on."""
    content = random.Random("big").randbytes(40 * MIB)
    source = MemoryReader(content, MIB)
    subject, _ = passage(source, content)
    b"".join(subject.body(0))
    for offset in (39 * MIB + 1, 20 * MIB, 16 * MIB - 1, 0):
        assert b"".join(subject.body(offset)) == content[offset:]
    assert source.reopened == [0, 32 * MIB, 16 * MIB, 0, 0]


def test_marks_made_from_other_content_do_not_outlive_it() -> None:
    """5.3: a source that serves another blob the second time is noticed."""
    content = random.Random("two").randbytes(20 * MIB)
    source = MemoryReader(content, MIB)
    subject, _ = passage(source, content)
    b"".join(subject.body(0))
    source.content = b"x" + content[1:]
    with pytest.raises(ContentMismatch):
        b"".join(subject.body(0))


def test_an_empty_blob_is_finished_before_it_starts() -> None:
    """5.3."""
    subject, done = passage(MemoryReader(b""), b"")
    assert (list(subject.body(0)), subject.finished, done) == ([], True, [])
    with pytest.raises(ContentMismatch):
        passage(MemoryReader(b""), b"", digest_of(b"not empty"))


def test_whoever_watches_may_stop_it() -> None:
    def stop(_: int) -> None:
        raise PushCancelled("The worker is shutting down.")

    descriptor = Descriptor("application/octet-stream", digest_of(CONTENT), len(CONTENT))
    subject = Passage(descriptor, MemoryReader(CONTENT, 10), stop)
    with pytest.raises(PushCancelled):
        b"".join(subject.body(0))
    assert subject.reached == 0
