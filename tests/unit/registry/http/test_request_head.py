"""RFC 9112, 3 and 5: what a head holds, and what would end a line early."""

import pytest

from tasks.registry.http.message_faults import RequestMalformed
from tasks.registry.http.request_head import request_head


def test_a_head_has_a_request_line_and_its_fields() -> None:
    head = request_head("GET", "/v2/?n=1", {"Host": "a:5000", "Range": "bytes=0-0"})
    assert head == b"GET /v2/?n=1 HTTP/1.1\r\nHost: a:5000\r\nRange: bytes=0-0\r\n\r\n"


@pytest.mark.parametrize("target", ["/v2/ HTTP/1.1\r\nX: y", "/a b", "/\x00", "/\u00e9", ""])
def test_a_target_that_would_end_the_line_is_refused(target: str) -> None:
    with pytest.raises(RequestMalformed):
        request_head("GET", target, {})


@pytest.mark.parametrize(
    ("name", "value"), [("A", "b\r\nC: d"), ("A", "b\nC: d"), ("A", "b\x00"), ("A: b\r\nC", "secret")]
)
def test_a_field_that_would_begin_another_one_is_refused_without_its_value(name: str, value: str) -> None:
    with pytest.raises(RequestMalformed) as refused:
        request_head("GET", "/", {name: value})
    assert value not in str(refused.value)
