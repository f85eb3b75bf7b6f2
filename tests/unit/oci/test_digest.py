"""Digests: their grammar, and bytes compared with them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.oci.digest import Digest, Verifier, algorithm_of, digest_of, encoded_of, parse_digest

LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


@pytest.mark.parametrize(("algorithm", "length"), LENGTHS.items())
def test_digests_of_the_registered_algorithms_are_read(algorithm: str, length: int) -> None:
    """Rule 1.3: a reference may carry any of them."""
    text = f"{algorithm}:{'0123456789abcdef' * 8}"[: len(algorithm) + 1 + length]
    digest = parse_digest(text)
    assert (digest, algorithm_of(digest), encoded_of(digest)) == (text, algorithm, text.partition(":")[2])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a digest"),
        ("sha256", "is not a digest"),
        ("sha256:", "is not a digest"),
        (":" + "a" * 64, "is not a digest"),
        ("SHA256:" + "a" * 64, "is not a digest"),
        ("sha256 :" + "a" * 64, "is not a digest"),
        ("sha256:" + "a" * 64 + "\n", "is not a digest"),
        ("sha256::" + "a" * 64, "is not a digest"),
        ("sha256:" + "a" * 63, "64 lower-case hexadecimal digits"),
        ("sha256:" + "a" * 65, "64 lower-case hexadecimal digits"),
        ("sha256:" + "A" * 64, "64 lower-case hexadecimal digits"),
        ("sha256:" + "g" * 64, "64 lower-case hexadecimal digits"),
        ("sha512:" + "a" * 64, "128 lower-case hexadecimal digits"),
        ("md5:" + "a" * 32, "algorithm 'md5' is not supported"),
        ("sha256+b64:" + "a" * 43, r"algorithm 'sha256\+b64' is not supported"),
    ],
)
def test_what_is_no_digest_is_refused_with_a_reason(text: str, reason: str) -> None:
    """Rule 1.2."""
    with pytest.raises(ValueError, match=reason):
        parse_digest(text)


def test_of_a_long_text_only_the_start_is_shown() -> None:
    with pytest.raises(ValueError, match="is not a digest") as refusal:
        parse_digest("!" * 1_000_000)
    assert len(str(refusal.value)) < 200


@given(st.binary(max_size=300), st.sampled_from(sorted(LENGTHS)), st.integers(1, 50))
def test_bytes_in_pieces_are_verified_by_their_digest_and_size(content: bytes, algorithm: str, piece: int) -> None:
    """Rule 2.4."""
    digest = digest_of(content, algorithm)
    assert digest == parse_digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")
    verifier = Verifier(digest, len(content))
    for start in range(0, len(content), piece):
        verifier.update(memoryview(content)[start : start + piece])
    assert verifier.received == len(content)
    assert verifier.verified
    assert not verifier.exceeded


def test_other_bytes_fewer_and_more_are_not_verified() -> None:
    """Rule 2.4: the digest and the size count."""
    digest = digest_of(b"content")

    def verifier(size: int, content: bytes) -> Verifier:
        made = Verifier(digest, size)
        made.update(content)
        return made

    assert verifier(7, b"content").verified
    assert not verifier(7, b"CONTENT").verified
    assert not verifier(7, b"conten").verified
    assert not verifier(8, b"content").verified
    assert not verifier(8, b"content").exceeded
    assert not verifier(6, b"content").verified
    assert verifier(6, b"content").exceeded


def test_the_digest_of_nothing_is_that_of_no_bytes() -> None:
    empty: Digest = digest_of(b"")
    assert Verifier(empty, 0).verified
