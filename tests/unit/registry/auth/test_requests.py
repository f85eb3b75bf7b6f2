"""Who asks: how requests are authenticated, and what is never shown of it (BEHAVIOUR 6.7, 8.1, 8.2)."""

import base64
import json

import pytest

from tasks.errors import (
    AddressForbidden,
    AuthenticationRefused,
    RequestRefused,
    ResponseInvalid,
)
from tasks.oci.digest import digest_of
from tasks.registry.repository import Registries
from tasks.registry.settings import Credentials, RegistryConfiguration, RegistryOverride, RegistrySettings
from tests.support.scripted import Answer, Exchange, NoAnswer, Received, ScriptedRegistry
from tests.support.token_server import TokenServer
from tests.unit.registry.clients import NAME, PING, QUICK, USER, client
from tests.unit.registry.fetching import BASIC, IMAGE, LATEST, MANIFEST, challenge, fetch


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
