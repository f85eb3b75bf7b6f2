"""The form in which the writes at a tag are kept (BEHAVIOUR 7.6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.coordination.tag_record import (
    LAST,
    MOST_BYTES,
    WRITER,
    begun,
    decode,
    encode,
    named,
    pack,
    record_of,
    under_way,
    unpack,
)
from tasks.transfer.ports import TagRecord, Writer, Written


@given(st.binary())
def test_bytes_come_back_to_the_letter(content: bytes) -> None:
    written = Written("sha256:a", "application/json", content)
    assert unpack(pack(written)) == written
    assert decode(encode({LAST: "sha256:a"}, written)) == ({LAST: "sha256:a"}, written)


@given(st.binary())
def test_a_file_that_holds_anything_else_is_empty(content: bytes) -> None:
    """A process that dies while it writes leaves half of a record at worst."""
    fields, _ = decode(content)
    assert isinstance(record_of(fields), TagRecord)


@pytest.mark.parametrize("value", [b"", b"sha256:a", b"sha256:a\nmedia"])
def test_half_of_a_write_is_none(value: bytes) -> None:
    assert unpack(value) is None


def test_a_manifest_that_is_too_large_is_not_kept() -> None:
    """The state of the workers is bounded."""
    large = Written("sha256:a", "m", bytes(MOST_BYTES + 1))
    assert decode(encode({LAST: "sha256:a"}, large)) == ({LAST: "sha256:a"}, None)


def test_several_writers_of_one_digest_are_kept_apart() -> None:
    one, two, nobody = Writer("p", "one"), Writer("q", "two"), Writer("", "three")
    fields = {
        LAST: "sha256:b",
        WRITER: named(two),
        under_way("sha256:a", one): "",
        under_way("sha256:a", two): "sha256:b",
    }
    fields |= {under_way("sha256:c", nobody): "", begun("sha256:a", two): ""}
    under = {"sha256:a": frozenset({None, "sha256:b"}), "sha256:c": frozenset({None})}
    assert record_of(fields) == TagRecord(
        "sha256:b", under, two, {"sha256:a": frozenset({one, two})}, {"sha256:a": frozenset({two})}
    )
    assert record_of({}) == TagRecord()
