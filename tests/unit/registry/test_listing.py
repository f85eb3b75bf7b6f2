"""The tags of a repository: all of them, or an error; never without end (distribution-spec 1.1; BEHAVIOUR 8.4)."""

import json

import pytest

from tasks.errors import AddressForbidden, NotFound, ResponseInvalid
from tasks.registry import listing
from tasks.registry.http.exchange import Response
from tasks.registry.listing import next_page
from tasks.registry.settings import RegistrySettings
from tests.support.scripted import Answer, Exchange, Received, ScriptedRegistry
from tests.unit.registry.clients import NAME, PING, QUICK, USER, client

PATH = f"/v2/{NAME}/tags/list"


def page(tags: list[str] | None, link: str = "") -> Answer:
    return Answer(200, {"Link": link} if link else {}, json.dumps({"name": NAME, "tags": tags}).encode())


def test_tags_are_listed_over_all_pages() -> None:
    first = Exchange("GET", f"{PATH}?n=1000", page(["a", "b"], f'<{PATH}?last=b>; rel="next"'))
    with ScriptedRegistry(PING, first) as registry:
        absolute = f"{registry.url}{PATH}?last=c"
        registry.expect(
            Exchange("GET", f"{PATH}?last=b", page(["c"], f"<{absolute}>;rel=next")),
            Exchange("GET", f"{PATH}?last=c", page(["d"], '<x>; rel="prev"')),
        )
        assert client(registry.host).tags() == ["a", "b", "c", "d"]


@pytest.mark.parametrize("answer", [Answer(404), page(None), page([])])
def test_a_repository_without_tags_has_none(answer: Answer) -> None:
    with ScriptedRegistry(PING, Exchange("GET", PATH, answer)) as registry:
        assert client(registry.host).tags() == []


def test_a_page_that_is_missing_is_an_error() -> None:
    """6.6: whoever deletes by the list must have all of it."""
    first = Exchange("GET", f"{PATH}?n=1000", page(["a"], f"<{PATH}?last=a>; rel=next"))
    missing = Exchange("GET", f"{PATH}?last=a", Answer(404))
    with ScriptedRegistry(PING, first, missing) as registry, pytest.raises(NotFound):
        client(registry.host).tags()


@pytest.mark.parametrize("tags", [["a"], []])
def test_pages_that_lead_back_are_an_error(tags: list[str]) -> None:
    """8.4."""
    around = Exchange("GET", PATH, page(tags, f"<{PATH}?n=1000>; rel=next"), times=2)
    with ScriptedRegistry(PING, around) as registry, pytest.raises(ResponseInvalid, match="does not end"):
        client(registry.host).tags()


def test_empty_pages_without_end_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """8.4: each leads to another one."""
    monkeypatch.setattr(listing, "_MOST_EMPTY_PAGES", 3)

    def more(received: Received) -> Answer:
        return page([], f"<{PATH}?number={int(received.query.rpartition('=')[2]) + 1}>; rel=next")

    with (
        ScriptedRegistry(PING, Exchange("GET", PATH, more, times=4)) as registry,
        pytest.raises(ResponseInvalid, match="does not end"),
    ):
        client(registry.host).tags()


@pytest.mark.parametrize(("bound", "pages"), [("MOST_PAGES", 4), ("MOST_TAGS", 5)])
def test_pages_without_end_are_an_error(bound: str, pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """8.4: each has a tag that is new."""
    monkeypatch.setattr(listing, bound, 4)

    def more(received: Received) -> Answer:
        number = int(received.query.rpartition("=")[2])
        return page([f"tag-{number}"], f"<{PATH}?number={number + 1}>; rel=next")

    with (
        ScriptedRegistry(PING, Exchange("GET", PATH, more, times=pages)) as registry,
        pytest.raises(ResponseInvalid, match="does not end"),
    ):
        client(registry.host).tags()


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"tags": 1}',
        b"\xff",
        b"[" * 100_000,
        b'{"tags": [null]}',
        b'{"tags": ["../../other/manifests/x"]}',
        b'{"tags": ["http://other/"]}',
        b'{"tags": ["with space"]}',
        b'{"tags": [""]}',
        b'{"tags": ["\xc3\xa9"]}',
    ],
)
def test_what_is_no_list_of_tags_is_an_error(body: bytes) -> None:
    """8.4: what is no tag would be another request where it is used as one."""
    with (
        ScriptedRegistry(PING, Exchange("GET", PATH, Answer(body=body))) as registry,
        pytest.raises(ResponseInvalid, match="is not one"),
    ):
        client(registry.host).tags()


def test_a_page_over_its_cap_is_refused() -> None:
    """8.4."""
    huge = Answer(body=b'{"tags": ["' + b"x" * QUICK.manifest_bytes + b'"]}')
    with ScriptedRegistry(PING, Exchange("GET", PATH, huge)) as registry, pytest.raises(ResponseInvalid, match="more"):
        client(registry.host).tags()


def test_a_page_on_another_host_is_asked_for_without_credentials() -> None:
    """8.2."""
    with ScriptedRegistry(Exchange("GET", "/more", page(["b"]), request_headers={"Authorization": None})) as other:
        challenge = Exchange("GET", "/v2/", Answer(401, {"WWW-Authenticate": 'Basic realm="r"'}))
        first = Exchange("GET", PATH, page(["a"], f"<{other.url}/more>; rel=next"))
        with ScriptedRegistry(challenge, first) as registry:
            repository = client(registry.host, settings=RegistrySettings(credentials=USER))
            assert repository.tags() == ["a", "b"]


@pytest.mark.parametrize("link", ["http://user:word@127.0.0.1/x", "ftp://127.0.0.1/", "http://h\\ost/"])
def test_a_link_to_no_place_is_refused(link: str) -> None:
    """8.2."""
    first = Exchange("GET", PATH, page(["a"], f"<{link}>; rel=next"))
    with ScriptedRegistry(PING, first) as registry, pytest.raises(AddressForbidden):
        client(registry.host).tags()


@pytest.mark.parametrize(
    ("header", "url"),
    [
        ('</b>; rel="next"', "http://h/b"),
        ("</b>;rel=next", "http://h/b"),
        ('</b>; title="x"; REL="Next"', "http://h/b"),
        ('</b>; rel="first next"', "http://h/b"),
        ('</b>; rel="next last"', "http://h/b"),
        ('</a>; rel="prev", </b>; rel="next"', "http://h/b"),
        ("<?last=b>; rel=next", "http://h/v2/?last=b"),
        ('</b>; rel="prev"', None),
        ('</b>; rel="nextish"', None),
        ('</b>; rel="not-next"', None),
        ("</b>; rel=nextish", None),
        ("/b; rel=next", None),
        ("</b>", None),
        ("", None),
        ("<" * 60_000, None),
        ("<a>;" * 15_000, None),
        ("<a>" + ";" * 60_000, None),
        ("<a>;" + " " * 60_000, None),
        ("<a>; rel=" + '"' + "next " * 10_000, "http://h/v2/a"),
    ],
)
def test_the_next_page_is_the_link_that_says_so(header: str, url: str | None) -> None:
    """RFC 8288, 3.3: in linear time."""
    assert next_page(Response(200, {"Link": header}, "http://h/v2/", own=True)) == url
