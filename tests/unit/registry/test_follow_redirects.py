"""Where answers lead: redirects, pages in place of answers, addresses that are signed (BEHAVIOUR section 8)."""

import pytest

from tasks.errors import (
    AddressForbidden,
    AddressWrong,
    ResponseInvalid,
)
from tasks.registry.settings import RegistrySettings
from tests.support.scripted import Answer, Exchange, NoAnswer, ScriptedRegistry
from tests.unit.registry.clients import PING, USER, blob_of, blob_path, client, manifest_path
from tests.unit.registry.fetching import BASIC, IMAGE, LATEST, MANIFEST, challenge, fetch


def test_a_redirect_to_another_host_carries_no_credentials() -> None:
    """8.2."""
    content = b"content"
    target = "/store?sig=a%2Fb%20c&x=%7E"
    stored = Exchange("GET", target, Answer(body=content), request_headers={"Authorization": None})
    with ScriptedRegistry(stored) as storage:
        moved = Answer(307, {"Location": f"{storage.url}{target}"})
        script = [Exchange("GET", "/v2/", challenge('Basic realm="r"'))]
        script += [Exchange("GET", blob_path(content), moved, request_headers={"Authorization": BASIC})]
        with ScriptedRegistry(*script) as registry:
            repository = client(registry.host, settings=RegistrySettings(credentials=USER))
            assert repository.read_blob(blob_of(content), 100) == content


@pytest.mark.parametrize("location", ["/elsewhere?a=b", "../manifests/other?x=y", "{url}/elsewhere?a=b"])
def test_a_redirect_within_the_registry_keeps_them(location: str) -> None:
    """8.2."""
    with ScriptedRegistry(Exchange("GET", "/v2/", challenge('Basic realm="r"'))) as registry:
        said = location.format(url=registry.url)
        path = manifest_path("other?x=y") if said.startswith("..") else "/elsewhere?a=b"
        registry.expect(
            Exchange("GET", LATEST, Answer(302, {"Location": said})),
            Exchange("GET", path, MANIFEST, request_headers={"Authorization": BASIC}),
        )
        fetch(registry, credentials=USER)


def test_redirects_without_end_are_an_error() -> None:
    """8.4."""
    around = Exchange("GET", LATEST, Answer(307, {"Location": LATEST}), times=6)
    with ScriptedRegistry(PING, around) as registry, pytest.raises(ResponseInvalid, match="redirects more than 5"):
        fetch(registry)


@pytest.mark.parametrize("location", ["ftp://host/x", "http://user:word@127.0.0.1/x", "http://[", "http://h ost/"])
def test_a_redirect_to_no_place_is_an_error(location: str) -> None:
    """8.2."""
    moved = Exchange("GET", LATEST, Answer(307, {"Location": location}))
    with ScriptedRegistry(PING, moved) as registry, pytest.raises(AddressForbidden) as caught:
        fetch(registry)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_make_another_request_of_a_write_is_an_error(status: int) -> None:
    """Some clients send an empty body then, or a GET."""
    moved = Exchange("PUT", LATEST, Answer(status, {"Location": "/elsewhere"}))
    with ScriptedRegistry(PING, moved) as registry, pytest.raises(ResponseInvalid, match=f"answered {status}"):
        client(registry.host, role="destination").push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


@pytest.mark.parametrize("status", [307, 308])
def test_a_write_is_repeated_with_its_body_where_a_redirect_says_so(status: int) -> None:
    """RFC 9110, 15.4.8; 8.2: another host gets no credentials."""
    stored = Exchange(
        "PUT", "/x?sig=a%2fb", Answer(201), request_body=IMAGE.manifest, request_headers={"Authorization": None}
    )
    with ScriptedRegistry(stored) as elsewhere:
        moved = [Answer(status, {"Location": where}) for where in ("/y", f"{elsewhere.url}/x?sig=a%2fb")]
        basic = {"request_body": IMAGE.manifest, "request_headers": {"Authorization": BASIC}}
        script = (
            Exchange("GET", "/v2/", challenge('Basic realm="r"')),
            Exchange("PUT", LATEST, moved[0], **basic),  # type: ignore[arg-type]
            Exchange("PUT", "/y", moved[1], **basic),  # type: ignore[arg-type]
        )
        with ScriptedRegistry(*script, ordered=True) as registry:
            repository = client(registry.host, role="destination", settings=RegistrySettings(credentials=USER))
            repository.push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


def test_a_write_that_a_redirect_leads_to_no_place_is_an_error() -> None:
    """8.2."""
    moved = Exchange("PUT", LATEST, Answer(307, {"Location": "ftp://host/"}))
    with ScriptedRegistry(PING, moved) as registry, pytest.raises(AddressForbidden):
        client(registry.host, role="destination").push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


def test_a_name_that_stands_for_an_inward_address_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """8.2: it looks public, and only the connection shows what it is; the registry's own passes for public here."""
    answers = iter([False, True])
    monkeypatch.setattr("tasks.registry.http.connections.is_inward", lambda _: next(answers))
    with ScriptedRegistry(PING) as registry:
        port = registry.host.rpartition(":")[2]
        registry.expect(Exchange("GET", LATEST, Answer(307, {"Location": f"http://localhost:{port}/x"})))
        with pytest.raises(AddressForbidden, match="leads to localhost, which is an inward address"):
            fetch(registry)


def test_a_registry_that_was_inward_once_and_is_public_leads_nowhere_inward(monkeypatch: pytest.MonkeyPatch) -> None:
    """8.2: whoever has a name lets it stand for any address, at any time."""
    # By http, by https, by http again; then the other name.
    answers = iter([True, False, False, True])
    monkeypatch.setattr("tasks.registry.http.connections.is_inward", lambda _: next(answers))
    with ScriptedRegistry(Exchange("GET", "/v2/", NoAnswer.DROP), PING, ordered=True) as registry:
        port = registry.host.rpartition(":")[2]
        registry.expect(Exchange("GET", LATEST, Answer(307, {"Location": f"http://localhost:{port}/x"})))
        with pytest.raises(AddressForbidden, match="leads to localhost, which is an inward address"):
            fetch(registry)


def test_a_store_that_refuses_a_signed_address_is_asked_by_a_new_one() -> None:
    """8.2: once."""
    store = [Exchange("GET", "/1", Answer(403)), Exchange("GET", "/2", MANIFEST)]
    with ScriptedRegistry(*store, ordered=True) as storage:
        moved = [Exchange("GET", LATEST, Answer(307, {"Location": f"{storage.url}/{number}"})) for number in (1, 2)]
        with ScriptedRegistry(PING, *moved, ordered=True) as registry:
            assert fetch(registry) == IMAGE.manifest


@pytest.mark.parametrize("refused", [400, 401, 403])
def test_an_address_that_is_signed_for_get_is_not_asked_by_head(refused: int) -> None:
    """8.2."""
    store = [Exchange("HEAD", "/1", Answer(refused)), Exchange("GET", "/1", MANIFEST)]
    with ScriptedRegistry(*store, ordered=True) as storage:
        moved = [Exchange(method, LATEST, Answer(307, {"Location": f"{storage.url}/1"})) for method in ("HEAD", "GET")]
        with ScriptedRegistry(PING, *moved, ordered=True) as registry:
            found = client(registry.host).resolve("latest")
    assert found is not None
    assert found.digest == IMAGE.digest


PAGE = b"<!doctype html><html><head><title>Sign in</title></head></html>"


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_page_is_no_success_of_a_write(status: int) -> None:
    """6.8: the tag would be looked for in vain, as if somebody else had written it meanwhile."""
    page = Exchange("PUT", LATEST, Answer(status, {"Content-Type": "text/html; charset=utf-8"}, PAGE))
    with ScriptedRegistry(PING, page) as registry, pytest.raises(AddressWrong, match="web page, 'Sign in'"):
        client(registry.host, role="destination").push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


def test_a_text_in_answer_to_a_write_is_a_success() -> None:
    """Servers say text/html of a body that is none."""
    stored = Exchange("PUT", LATEST, Answer(201, {"Content-Type": "text/html; charset=utf-8"}, b"OK"))
    with ScriptedRegistry(PING, stored) as registry:
        client(registry.host, role="destination").push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


def test_a_write_that_is_led_to_a_login_says_where() -> None:
    """6.8."""
    moved = Exchange("PUT", LATEST, Answer(302, {"Location": "https://user:word@login.example/start?state=word"}))
    with ScriptedRegistry(PING, moved) as registry, pytest.raises(AddressWrong, match=r"login\.example") as caught:
        client(registry.host, role="destination").push_manifest("latest", IMAGE.manifest, IMAGE.media_type)
    assert "word" not in str(caught.value)
