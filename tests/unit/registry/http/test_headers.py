"""Header lines as registries, and what stands before them, send them (RFC 9110, 5; RFC 9112, 5)."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.registry.http.headers import Headers, read_headers
from tasks.registry.http.message_faults import AnswerMalformed


def read(*lines: bytes, end: bytes = b"\r\n") -> Headers:
    return read_headers(io.BytesIO(b"".join(line + b"\r\n" for line in lines) + end + b"content"))


def test_a_name_counts_in_any_case_and_its_value_without_the_spaces_around_it() -> None:
    headers = read(b"content-LENGTH:\t 5 \t", b"Empty:")
    assert (headers["Content-Length"], headers.get("CONTENT-length"), headers.get("empty")) == ("5", "5", "")
    assert (headers.get("Location"), headers.get("Location", "")) == (None, "")
    assert "empty" in headers
    assert len(headers) == 2


def test_several_fields_of_a_name_are_one_list() -> None:
    assert (
        read(b"WWW-Authenticate: Basic", b"Date: x", b"www-authenticate: Bearer")["WWW-Authenticate"] == "Basic, Bearer"
    )


def test_a_field_may_go_on_in_the_next_line() -> None:
    assert read(b"Link: </a>;", b" \t rel=next", b"Date: x") == {"link": "</a>; rel=next", "date": "x"}
    assert read(b" of nothing", b"Date: x") == {"date": "x"}


@pytest.mark.parametrize("line", [b"nothing", b": of no name", b"with space: x", b"Content-Length : 5", b"\xe9: x"])
def test_a_line_that_is_no_field_hides_no_other(line: bytes) -> None:
    assert read(b"Date: x", line, b"Content-Type: y") == {"date": "x", "content-type": "y"}


def test_a_bare_cr_begins_no_field() -> None:
    """RFC 9112, 2.2."""
    assert read(b"Date: x\rContent-Length: 5") == {"date": "x Content-Length: 5"}


def test_only_a_line_feed_ends_a_line_too() -> None:
    assert read_headers(io.BytesIO(b"Date: x\nETag: y\n\n")) == {"date": "x", "etag": "y"}


@pytest.mark.parametrize("content", [b"", b"Date: x", b"Date: x\r\n", b"Date: x\r\nContent-Le"])
def test_a_head_that_is_cut_off_is_no_head(content: bytes) -> None:
    """Its content would end where the missing fields do not say."""
    with pytest.raises(AnswerMalformed, match="no end"):
        read_headers(io.BytesIO(content))


def test_a_head_is_bounded() -> None:
    assert len(read(*[b"X-%d: x" % number for number in range(100)])) == 100
    with pytest.raises(AnswerMalformed, match="more than 100"):
        read(*[b"X: x"] * 101)
    with pytest.raises(AnswerMalformed, match="too long"):
        read(b"X: " + b"x" * 70_000)


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_an_error(content: bytes) -> None:
    try:
        headers = read_headers(io.BytesIO(content))
    except AnswerMalformed:
        return
    assert all(name == name.lower() and not set("\r\n\0") & set(name + value) for name, value in headers.items())


def test_a_long_run_of_spaces_takes_no_long_time() -> None:
    """An expression that goes back would still be at it when the suite is stopped."""
    spaces = b" " * 30_000
    lines = [b"a%d: x" % number + spaces + b"y" for number in range(90)]
    headers = read(*lines, b"b:" + spaces + b"z" + spaces, b"c" + spaces + b": d")
    assert (len(headers), headers["a89"], headers["b"]) == (91, f"x{spaces.decode()}y", "z")
