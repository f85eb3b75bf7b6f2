"""One exchange with a registry: who asks, where it leads, what is tried again (BEHAVIOUR section 8)."""

import base64
import json
import re
import socket
import threading
from dataclasses import replace

import pytest
from msgspec import structs

from tasks.errors import (
    AddressForbidden,
    AddressWrong,
    AuthenticationRefused,
    NotFound,
    RateLimited,
    RegistryError,
    RegistryUnavailable,
    RequestRefused,
    ResponseInvalid,
    Retry,
)
from tasks.oci import media_types
from tasks.oci.digest import digest_of
from tasks.registry.repository import Registries
from tasks.registry.settings import Credentials, HttpLimits, RegistryConfiguration, RegistryOverride, RegistrySettings
from tests.support.images import image
from tests.support.scripted import Answer, Exchange, NoAnswer, Received, ScriptedRegistry
from tests.support.token_server import TokenServer
from tests.unit.registry.clients import IMPATIENT, NAME, PING, QUICK, USER, blob_of, blob_path, client, manifest_path

IMAGE = image()
MANIFEST = Answer(200, {"Content-Type": IMAGE.media_type}, IMAGE.manifest)
BASIC = "Basic " + base64.b64encode(b"user:password").decode()
LATEST = manifest_path("latest")


def fetch(registry: ScriptedRegistry, limits: HttpLimits = QUICK, credentials: Credentials | None = None) -> bytes:
    settings = RegistrySettings(credentials=credentials)
    return client(registry.host, limits=limits, settings=settings).fetch_manifest("latest").content


def challenge(scheme: str) -> Answer:
    return Answer(401, {"WWW-Authenticate": scheme})


@pytest.mark.parametrize("reply", [Answer(status) for status in (408, 429, 500, 502, 503, 504)] + [NoAnswer.DROP])
def test_what_may_pass_is_tried_again(reply: Answer | NoAnswer) -> None:
    """8.3."""
    with ScriptedRegistry(PING, Exchange("GET", LATEST, reply), Exchange("GET", LATEST, MANIFEST)) as registry:
        assert fetch(registry) == IMAGE.manifest


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRefused),
        (403, AuthenticationRefused),
        (404, NotFound),
        (405, RequestRefused),
        (451, RequestRefused),
        (501, RequestRefused),
        (204, ResponseInvalid),
    ],
)
def test_what_stays_is_not_tried_again(status: int, kind: type[RegistryError]) -> None:
    """8.3."""
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(status))) as registry,
        pytest.raises(kind, match=f"GET {registry.host}{LATEST} answered {status}"),
    ):
        fetch(registry)


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, RegistryUnavailable)])
def test_tries_are_bounded(status: int, kind: type[RegistryError]) -> None:
    """8.3."""
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(status), times=QUICK.tries)) as registry,
        pytest.raises(kind, match=rf"answered {status} \(tries: 3\)"),
    ):
        fetch(registry)


@pytest.mark.parametrize("said", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_a_long_retry_after_ends_the_tries_at_once(said: str) -> None:
    """8.3: 429 with Retry-After."""
    busy = Answer(429, {"Retry-After": said}, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}')
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, busy)) as registry,
        pytest.raises(RateLimited, match="TOOMANYREQUESTS: slow down") as caught,
    ):
        fetch(registry)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 3600


def test_a_short_retry_after_is_waited_for() -> None:
    """8.3."""
    busy = Exchange("GET", LATEST, Answer(429, {"Retry-After": "0"}))
    with ScriptedRegistry(PING, busy, Exchange("GET", LATEST, MANIFEST)) as registry:
        assert fetch(registry) == IMAGE.manifest


def test_a_lost_connection_within_a_body_is_tried_again() -> None:
    """8.3."""
    cut = replace(MANIFEST, cut_after=10)
    with ScriptedRegistry(PING, Exchange("GET", LATEST, cut), Exchange("GET", LATEST, MANIFEST)) as registry:
        assert fetch(registry) == IMAGE.manifest


@pytest.mark.parametrize("reply", [NoAnswer.STALL, replace(MANIFEST, stall_after=10)])
def test_a_registry_that_sends_nothing_runs_into_a_timeout(reply: Answer | NoAnswer) -> None:
    """8.4."""
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, reply, times=2)) as registry,
        pytest.raises(RegistryUnavailable, match=r"sent nothing within the time allowed \(tries: 2\)"),
    ):
        fetch(registry, IMPATIENT)


def test_a_handshake_that_does_not_go_on_runs_into_a_timeout() -> None:
    """8.4: the registry takes the connection and says nothing of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = RegistrySettings(plain_http=False)
        limits = structs.replace(IMPATIENT, connect_timeout=0.2)
        with pytest.raises(RegistryUnavailable, match=r"within the time allowed \(tries: 2\)"):
            client(host, limits=limits, settings=settings).fetch_manifest("latest")


def test_a_manifest_over_its_cap_is_refused() -> None:
    """8.4."""
    limits = structs.replace(QUICK, manifest_bytes=len(IMAGE.manifest) - 1)
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, MANIFEST)) as registry,
        pytest.raises(ResponseInvalid, match=f"more than {limits.manifest_bytes} bytes"),
    ):
        fetch(registry, limits)
    with ScriptedRegistry(PING, Exchange("GET", LATEST, MANIFEST)) as registry:
        assert fetch(registry, structs.replace(limits, manifest_bytes=len(IMAGE.manifest))) == IMAGE.manifest


def test_an_error_body_without_end_is_cut() -> None:
    """8.4."""
    endless = iter(lambda: b"x" * 4096, b"")
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(400, body=endless))) as registry,
        pytest.raises(RequestRefused, match=r"answered 400\. The words"),
    ):
        fetch(registry)


def test_the_registrys_words_are_shown_clean_and_short() -> None:
    """6.7."""
    said = "no\n\x1b[31mway\u202e " + "x" * 5000
    body = json.dumps({"errors": [{"code": "DENIED", "message": said}, {"code": "B", "detail": 1}]}).encode()
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(403, body=body))) as registry,
        pytest.raises(AuthenticationRefused) as caught,
    ):
        fetch(registry)
    message = caught.value.message
    assert "(DENIED: no [31mway  xxx" in message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize("body", [b"<html>", b'{"errors": "no"}', b'{"errors": [1]}', b"[" * 60_000, b"\xff"])
def test_an_error_body_that_is_none_is_ignored(body: bytes) -> None:
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, Answer(404, body=body))) as registry,
        pytest.raises(NotFound, match="answered 404"),
    ):
        fetch(registry)


def test_every_request_says_what_it_can_read() -> None:
    """8.4: what is compressed on the way is not what was hashed."""
    accept = {"Accept": ", ".join(media_types.ACCEPT), "Accept-Encoding": "identity", "Cookie": None}
    first = Exchange("GET", LATEST, replace(MANIFEST, headers={"Set-Cookie": "a=b; Path=/"}))
    second = Exchange("GET", LATEST, MANIFEST, request_headers=accept)
    with ScriptedRegistry(PING, first, second) as registry:
        repository = client(registry.host)
        repository.fetch_manifest("latest")
        repository.fetch_manifest("latest")


def test_basic_credentials_are_sent_when_asked_for_and_from_then_on() -> None:
    """8.1."""
    ping = Exchange("GET", "/v2/", challenge('Basic realm="r"'), request_headers={"Authorization": None})
    asked = Exchange("GET", LATEST, MANIFEST, request_headers={"Authorization": BASIC}, times=2)
    with ScriptedRegistry(ping, asked) as registry:
        repository = client(registry.host, settings=RegistrySettings(credentials=USER))
        repository.fetch_manifest("latest")
        repository.fetch_manifest("latest")


def test_a_registry_that_lets_everyone_in_is_shown_no_credential() -> None:
    """8.1: anonymous."""
    with ScriptedRegistry(PING, Exchange("GET", LATEST, MANIFEST, request_headers={"Authorization": None})) as registry:
        fetch(registry, credentials=USER)


def test_refused_credentials_are_an_error_that_does_not_show_them() -> None:
    """8.1, 6.7."""
    refused = challenge('Basic realm="r"')
    with (
        ScriptedRegistry(Exchange("GET", "/v2/", refused), Exchange("GET", LATEST, refused)) as registry,
        pytest.raises(AuthenticationRefused) as caught,
    ):
        fetch(registry, credentials=USER)
    assert "password" not in repr(caught.value) + str(caught.value)
    assert BASIC.split()[1] not in repr(caught.value)


def test_a_token_is_fetched_for_the_scope_of_the_request() -> None:
    """8.1: Bearer; the base's challenge spares the first request a refusal."""
    with TokenServer({"user": "password"}) as tokens:
        scheme = f'Bearer realm="{tokens.realm}",service="{tokens.service}"'

        def check(received: Received) -> None:
            assert received.headers["Authorization"].startswith("Bearer ")

        script = [Exchange("GET", "/v2/", challenge(scheme)), Exchange("GET", LATEST, MANIFEST, check=check)]
        with ScriptedRegistry(*script) as registry:
            fetch(registry, credentials=USER)
        assert [(each.user, each.scopes) for each in tokens.asked] == [("user", (f"repository:{NAME}:pull",))]


def test_a_refused_token_is_renewed_once() -> None:
    """8.1."""
    with TokenServer({"user": "password"}) as tokens:
        refused = challenge(f'Bearer realm="{tokens.realm}",service="{tokens.service}"')
        script = [Exchange("GET", "/v2/", refused), Exchange("GET", LATEST, refused)]
        with ScriptedRegistry(*script, Exchange("GET", LATEST, MANIFEST)) as registry:
            fetch(registry, credentials=USER)
        assert len(tokens.asked) == 2
        with ScriptedRegistry(*script, script[1]) as registry, pytest.raises(AuthenticationRefused):
            fetch(registry, credentials=USER)
        assert len(tokens.asked) == 4


def test_a_token_server_that_stumbles_is_asked_again() -> None:
    """8.3."""
    with ScriptedRegistry(
        Exchange("GET", "/token", Answer(503)),
        Exchange("GET", "/token", NoAnswer.DROP),
        Exchange("GET", "/token", Answer(body=b'{"token": "t"}')),
    ) as realm:
        refused = challenge(f'Bearer realm="{realm.url}/token"')
        asked = Exchange("GET", LATEST, MANIFEST, request_headers={"Authorization": "Bearer t"})
        with ScriptedRegistry(Exchange("GET", "/v2/", refused), asked) as registry:
            fetch(registry)


@pytest.mark.parametrize("status", [404, 410])
def test_a_realm_that_moved_is_asked_for_where_the_registry_names_it_now(status: int) -> None:
    """8.1: the challenge is remembered, and may be out of date by the next token."""
    gone = Exchange("GET", "/token", Answer(status))
    with (
        ScriptedRegistry(Exchange("GET", "/token", Answer(body=b'{"token": "old"}')), gone, ordered=True) as before,
        ScriptedRegistry(Exchange("GET", "/token", Answer(body=b'{"token": "new"}'))) as after,
    ):
        first, then = (challenge(f'Bearer realm="{realm.url}/token"') for realm in (before, after))
        delete = f"/v2/{NAME}/manifests/{IMAGE.digest}"
        script = [
            Exchange("GET", "/v2/", first),
            Exchange("GET", LATEST, MANIFEST, request_headers={"Authorization": "Bearer old"}),
            Exchange("DELETE", delete, then, request_headers={"Authorization": None}),
            Exchange("DELETE", delete, Answer(202), request_headers={"Authorization": "Bearer new"}),
        ]
        with ScriptedRegistry(*script, ordered=True) as registry:
            repository = client(registry.host)
            repository.fetch_manifest("latest")
            repository.delete_manifest(digest_of(IMAGE.manifest))


def test_a_realm_that_was_never_there_is_an_error_that_names_it() -> None:
    """6.8, 8.1: whatever the registry says again, it is not asked for ever."""
    with ScriptedRegistry(Exchange("GET", "/token", Answer(404))) as realm:
        refused = challenge(f'Bearer realm="{realm.url}/token"')
        with ScriptedRegistry(Exchange("GET", "/v2/", refused)) as registry, pytest.raises(ResponseInvalid) as caught:
            client(registry.host).fetch_manifest("latest")
    assert realm.host in str(caught.value)


def test_source_and_destination_at_one_registry_have_their_own_credentials() -> None:
    """8.1."""
    configuration = RegistryConfiguration(
        source_override=RegistryOverride(credentials=Credentials("one", "1")),
        destination_override=RegistryOverride(credentials=Credentials("two", "2")),
        limits=QUICK,
    )
    pings = Exchange("GET", "/v2/", challenge('Basic realm="r"'), times=2)
    with ScriptedRegistry(pings, Exchange("GET", LATEST, MANIFEST, times=2)) as registry:
        registries = Registries(configuration)
        registries.repository(registry.host, NAME, "source").fetch_manifest("latest")
        registries.repository(registry.host, NAME, "destination").fetch_manifest("latest")
        seen = [each.headers.get("Authorization") for each in registry.received if each.path == LATEST]
    assert seen == [f"Basic {base64.b64encode(pair).decode()}" for pair in (b"one:1", b"two:2")]


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


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_what_a_registry_quotes_of_the_credentials_is_not_shown(scheme: str) -> None:
    """6.7: some errors quote the request."""

    def quoting(received: Received) -> Answer:
        said = f"{received.headers['Authorization']} / user:password / password"
        return Answer(403, body=json.dumps({"errors": [{"code": "DENIED", "message": said}]}).encode())

    token = Exchange("GET", "/token", Answer(body=b'{"token": "secret-token"}'))
    with ScriptedRegistry(*([token] if scheme == "Bearer" else [])) as realm:
        asked = Exchange("GET", "/v2/", challenge(f'{scheme} realm="{realm.url}/token"'))
        with (
            ScriptedRegistry(asked, Exchange("GET", LATEST, quoting)) as registry,
            pytest.raises(AuthenticationRefused, match="DENIED: ") as caught,
        ):
            fetch(registry, credentials=USER)
    shown = f"{caught.value!r} {caught.value}"
    assert "secret-token" not in shown
    assert BASIC.split()[1] not in shown
    assert scheme == "Bearer" or "password" not in shown


def test_a_refusal_of_another_host_says_nothing_of_the_credentials() -> None:
    """8.2: an expired signature, say."""
    echoed = Answer(403, body=b'{"errors":[{"message":"/store?sig=a%2Fsecret sig=a/secret is over"}]}')
    with ScriptedRegistry(Exchange("GET", "/store", echoed, times=2)) as storage:
        moved = Exchange("GET", LATEST, Answer(307, {"Location": f"{storage.url}/store?sig=a%2Fsecret"}), times=2)
        with ScriptedRegistry(PING, moved) as registry, pytest.raises(RequestRefused) as caught:
            fetch(registry)
    assert "secret" not in str(caught.value)
    assert f"GET {storage.host}/store answered 403" in str(caught.value)


def test_a_body_is_sent_whole_on_every_try() -> None:
    """8.3."""
    script = [Exchange("PUT", LATEST, reply, request_body=IMAGE.manifest) for reply in (Answer(503), Answer(201))]
    lost = Exchange("PUT", LATEST, NoAnswer.DROP, request_body=IMAGE.manifest)
    absent = Exchange("HEAD", LATEST, Answer(404), times=2)
    with ScriptedRegistry(PING, lost, absent, *script) as registry:
        client(registry.host, role="destination").push_manifest("latest", IMAGE.manifest, IMAGE.media_type)
    sent = {each.headers["Content-Length"] for each in registry.received if each.method == "PUT"}
    assert sent == {str(len(IMAGE.manifest))}


def test_a_registry_that_is_not_there_is_unavailable() -> None:
    """8.3."""
    with ScriptedRegistry() as registry:
        host = registry.host
    with pytest.raises(RegistryUnavailable, match=rf"GET {re.escape(host)}/v2/: connection refused \(tries: 3\)"):
        client(host).fetch_manifest("latest")


def test_a_name_that_nobody_knows_is_said_to_be_one() -> None:
    with pytest.raises(RegistryUnavailable, match="the name of the host cannot be resolved"):
        client("registry.invalid").fetch_manifest("latest")


def test_threads_share_one_ping() -> None:
    started = threading.Barrier(4)
    with ScriptedRegistry(PING, Exchange("GET", LATEST, MANIFEST, times=4)) as registry:
        registries = Registries(RegistryConfiguration(limits=QUICK))

        def run() -> None:
            started.wait()
            registries.repository(registry.host, NAME, "source").fetch_manifest("latest")

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


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


@pytest.mark.parametrize("asked", ["7200", "999999999", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_that_nobody_would_wait_for_ends_the_tries(asked: str) -> None:
    """8.3: 3,600 seconds are believed."""
    busy = Exchange("GET", LATEST, Answer(429, {"Retry-After": asked}))
    with ScriptedRegistry(PING, busy) as registry, pytest.raises(RateLimited, match="retry_after_limit") as caught:
        fetch(registry)
    assert (caught.value.retry, caught.value.retry_after) == (Retry.NEVER, 3600)


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


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_realm_may_lead_elsewhere_on_its_own_host_only(status: int) -> None:
    """8.1, 8.2."""
    token = Exchange("GET", "/new", Answer(200, body=b'{"token": "t"}'), request_headers={"Authorization": BASIC})
    with ScriptedRegistry(Exchange("GET", "/token", Answer(status, {"Location": "/new"})), token) as realm:
        challenge = Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm.url}/token"'})
        read = Exchange("GET", LATEST, MANIFEST, request_headers={"Authorization": "Bearer t"})
        with ScriptedRegistry(Exchange("GET", "/v2/", challenge), read) as registry:
            settings = RegistrySettings(credentials=USER)
            assert client(registry.host, settings=settings).fetch_manifest("latest").content == IMAGE.manifest
    with ScriptedRegistry() as elsewhere:
        away = Answer(status, {"Location": f"{elsewhere.url}/new"})
        with ScriptedRegistry(Exchange("GET", "/token", away)) as realm:
            challenge = Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm.url}/token"'})
            with ScriptedRegistry(Exchange("GET", "/v2/", challenge)) as registry, pytest.raises(ResponseInvalid):
                client(registry.host, settings=RegistrySettings(credentials=USER)).fetch_manifest("latest")


def test_a_refusal_that_does_not_say_how_to_log_in_is_no_refusal_of_credentials() -> None:
    """6.8: none were sent."""
    refused = [Exchange("GET", path, Answer(401)) for path in ("/v2/", LATEST)]
    with ScriptedRegistry(*refused) as registry, pytest.raises(AuthenticationRefused) as caught:
        fetch(registry, credentials=USER)
    assert f"GET {registry.host}{LATEST} answered 401" in caught.value.message
    assert "no WWW-Authenticate" in caught.value.message
    assert "no credentials were sent" in caught.value.message
    assert [each.headers.get("Authorization") for each in registry.received] == [None, None]


@pytest.mark.parametrize("path", ["/v2/", LATEST])
def test_a_realm_where_no_registry_is_is_never_asked(path: str) -> None:
    """8.2: nor is the request tried again."""
    refused = challenge('Bearer realm="http://169.254.169.254/token"')
    script = [Exchange("GET", "/v2/", refused if path == "/v2/" else Answer(200))]
    script += [Exchange("GET", LATEST, refused)] if path == LATEST else []
    with ScriptedRegistry(*script) as registry, pytest.raises(AddressForbidden, match=r"169\.254\.169\.254"):
        fetch(registry, credentials=USER)


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
