import contextlib
import http.client
from collections.abc import Iterator

import pytest
import requests

from tests.support.images import digest_of
from tests.support.scripted import Answer, Exchange, NoAnswer, Received, ScriptedRegistry


def _get(registry: ScriptedRegistry, target: str, **headers: str) -> requests.Response:
    return requests.get(f"{registry.url}{target}", headers=headers, timeout=10)


def test_exchanges_answer_in_any_order_and_as_often_as_they_say() -> None:
    script = [
        Exchange("GET", "/b", Answer(503)),
        Exchange("GET", "/b", Answer(200, {"X-One": "1"}, b"found")),
        Exchange("GET", "/a?x=1", times=2),
        Exchange("GET", "/c", times=None),
    ]
    with ScriptedRegistry(*script) as registry:
        statuses = [_get(registry, each).status_code for each in ("/c", "/a?x=1", "/b", "/c", "/a?x=1")]
        found = _get(registry, "/b?any=query")
    assert statuses == [200, 200, 503, 200, 200]
    assert (found.content, found.headers["X-One"], found.headers["Content-Length"]) == (b"found", "1", "5")
    assert registry.requests()[-1] == ("GET", "/b?any=query")


@pytest.mark.parametrize(
    ("script", "target", "complaint"),
    [
        ([], "/a", "not in the script: GET /a"),
        ([Exchange("GET", "/a?x=1", times=None)], "/a?x=2", r"not in the script: GET /a\?x=2"),
        ([Exchange("POST", "/a", times=None)], "/a", "not in the script: GET /a"),
        ([Exchange("GET", "/a"), Exchange("GET", "/b")], "/a", "asked for 0 of 1 times: GET /b"),
        ([Exchange("GET", "/a", times=3)], "/a", "asked for 1 of 3 times: GET /a"),
        ([Exchange("GET", "/a", request_headers={"Range": "bytes=1-"})], "/a", "header Range"),
        ([Exchange("GET", "/a", request_headers={"accept": None})], "/a", "header accept is not None"),
        ([Exchange("GET", "/a", request_body=b"x")], "/a", "the body of 0 bytes"),
        ([Exchange("GET", "/a", lambda _: Answer(int("x")))], "/a", "inside the server: ValueError"),
    ],
)
def test_what_goes_off_the_script_fails(script: list[Exchange], target: str, complaint: str) -> None:
    registry = ScriptedRegistry(*script)
    registry.__enter__()
    with contextlib.suppress(requests.ConnectionError):
        _get(registry, target)
    with pytest.raises(AssertionError, match=complaint):
        registry.__exit__(None, None, None)


def test_a_failed_check_fails_the_script() -> None:
    def check(received: Received) -> None:
        assert received.body_size == 7

    with (
        pytest.raises(AssertionError, match="check failed"),
        ScriptedRegistry(Exchange("GET", "/a", check=check)) as registry,
    ):
        _get(registry, "/a")


def test_ordered_refuses_what_comes_too_early_or_again() -> None:
    script = [Exchange("GET", "/a", times=None), Exchange("GET", "/b"), Exchange("GET", "/a")]
    with ScriptedRegistry(*script, ordered=True) as registry:
        assert [_get(registry, each).status_code for each in ("/a", "/a", "/b", "/a")] == [200] * 4
    with (
        pytest.raises(AssertionError, match="not in the script: GET /b"),
        ScriptedRegistry(*script[:2], ordered=True) as registry,
    ):
        assert _get(registry, "/b").status_code == 400


def test_an_error_of_the_test_itself_is_kept_and_carries_the_deviations() -> None:
    with pytest.raises(KeyError) as caught, ScriptedRegistry(Exchange("GET", "/never")):
        raise KeyError
    assert "GET /never" in caught.value.__notes__[0]


@pytest.mark.parametrize("chunked", [True, False])
def test_the_request_is_recorded_with_digest_and_size_of_its_body(*, chunked: bool) -> None:
    body = bytes(range(256)) * 8192

    def pieces() -> Iterator[bytes]:
        yield body[:70_000]
        yield body[70_000:]

    with ScriptedRegistry(Exchange("PUT", "/up?digest=x", Answer(201))) as registry:
        requests.put(f"{registry.url}/up?digest=x", data=pieces() if chunked else body, timeout=10)
    (received,) = registry.received
    assert (received.path, received.query) == ("/up", "digest=x")
    assert (received.body_digest, received.body_size) == (digest_of(body), len(body))
    assert received.body == body[: 1 << 20]
    assert ("Transfer-Encoding" in received.headers) is chunked


def test_bodies_are_streamed_chunked_or_ended_by_the_connection() -> None:
    script = [
        Exchange("GET", "/chunked", Answer(body=[b"ab", b"c"])),
        Exchange("GET", "/sized", Answer(headers={"Content-Length": "3"}, body=[b"ab", b"c"])),
        Exchange("GET", "/close", Answer(body=b"abc", framing="close")),
        Exchange("GET", "/made", lambda received: Answer(body=received.query.encode())),
    ]
    with ScriptedRegistry(*script) as registry:
        chunked, sized, closed = (_get(registry, each) for each in ("/chunked", "/sized", "/close"))
        assert _get(registry, "/made?abc").content == b"abc"
    assert [each.content for each in (chunked, sized, closed)] == [b"abc"] * 3
    assert chunked.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in closed.headers


def test_a_head_has_the_length_and_no_body() -> None:
    with (
        ScriptedRegistry(Exchange("HEAD", "/a", Answer(body=b"abc"), times=2)) as registry,
        requests.Session() as session,
    ):
        answers = [session.head(f"{registry.url}/a", timeout=10) for _ in range(2)]
    assert [(each.headers["Content-Length"], each.content) for each in answers] == [("3", b"")] * 2


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_connection_is_cut_or_goes_silent_within_the_body(framing: str) -> None:
    chunked: list[bytes] | bytes = [b"0123456789"] if framing == "chunked" else b"0123456789"
    script = [
        Exchange("GET", "/cut", Answer(body=chunked, cut_after=4)),
        Exchange("GET", "/stall", Answer(body=chunked, stall_after=4)),
    ]
    with ScriptedRegistry(*script) as registry:
        for path, error in (("/cut", "IncompleteRead|ended prematurely"), ("/stall", "Read timed out")):
            with requests.get(f"{registry.url}{path}", stream=True, timeout=2) as answer:
                got = b""
                with pytest.raises(requests.RequestException, match=error):  # noqa: PT012 - what came before the error counts
                    for piece in answer.iter_content(1):
                        got += piece
                assert got == b"0123"


def test_no_answer_at_all() -> None:
    script = [Exchange("GET", "/drop", NoAnswer.DROP), Exchange("GET", "/stall", NoAnswer.STALL)]
    with ScriptedRegistry(*script) as registry:
        with pytest.raises(requests.ConnectionError):
            _get(registry, "/drop")
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{registry.url}/stall", timeout=0.2)


def test_an_early_answer_arrives_and_the_connection_stays_in_use() -> None:
    script = [Exchange("PUT", "/early", Answer(401, body=b"log in"), read=0), Exchange("GET", "/next")]
    with (
        ScriptedRegistry(*script) as registry,
        contextlib.closing(http.client.HTTPConnection(registry.host, timeout=10)) as connection,
    ):
        connection.request("PUT", "/early", body=bytes(8 << 20))
        early = connection.getresponse()
        assert (early.status, early.read(), registry.received[0].body_size) == (401, b"log in", 0)
        connection.request("GET", "/next")
        assert connection.getresponse().status == 200


def test_a_dropped_upload_breaks_after_the_bytes_that_were_read() -> None:
    with ScriptedRegistry(Exchange("PUT", "/drop", NoAnswer.DROP, read=1 << 20)) as registry:
        with pytest.raises(requests.ConnectionError):
            requests.put(f"{registry.url}/drop", data=bytes(8 << 20), timeout=10)
        assert registry.received[0].body_size == 1 << 20


def test_the_script_is_added_to_while_it_runs() -> None:
    with ScriptedRegistry() as registry, ScriptedRegistry(Exchange("GET", "/there")) as other:
        registry.expect(Exchange("GET", "/here", Answer(307, {"Location": f"{other.url}/there"})))
        assert _get(registry, "/here").ok
