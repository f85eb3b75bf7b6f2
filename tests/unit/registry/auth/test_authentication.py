"""A registry is told who asks as its challenge wants it, and no request is tried for ever (BEHAVIOUR 8.1)."""

import base64
import json
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import pytest

from tasks.errors import AddressForbidden
from tasks.registry.auth.authentication import Authentication, choose
from tasks.registry.auth.challenge import parse_challenges
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.auth.logins.login import CloudLogin
from tasks.registry.auth.tokens import TokenSource
from tasks.registry.settings import Credentials, RegistryConfiguration, RegistrySettings

REGISTRY = "registry.example"
BEARER = 'Bearer realm="https://auth.example/token",service="registry.example"'
BASIC = 'Basic realm="registry"'
PULL = frozenset({"repository:a:pull"})
PUSH = frozenset({"repository:a:pull,push"})
USER = Credentials("user", "password")
BASIC_OF_USER = "Basic " + base64.b64encode(b"user:password").decode()


class Realm:
    """A fake `send` that gives another token each time."""

    def __init__(self) -> None:
        self.scopes: list[list[str]] = []

    def __call__(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        assert (method, body) == ("GET", None)
        self.scopes.append(parse_qs(urlsplit(url).query).get("scope", []))
        who = "known" if "Authorization" in headers else "anonymous"
        return 200, {}, json.dumps({"token": f"{who}-{len(self.scopes)}"}).encode()


def authentication(realm: Realm, credentials: Credentials | None = None) -> Authentication:
    # Empty credentials mean anonymous: the auth files of whoever runs this test are not looked at.
    settings = RegistrySettings(credentials=credentials or Credentials())
    store = CredentialStore(RegistryConfiguration({REGISTRY: settings}))
    return Authentication(REGISTRY, "source", store, TokenSource(realm), CloudLogin(realm))


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        (BEARER, "bearer"),
        (BASIC, "basic"),
        (f"{BASIC}, {BEARER}", "bearer"),
        (f"Negotiate, {BASIC}", "basic"),
        (f"Bearer, {BASIC}", "basic"),
        ('Bearer realm=""', None),
        ("Negotiate", None),
        ("", None),
    ],
)
def test_bearer_comes_before_basic_and_before_what_is_unknown(header: str, scheme: str | None) -> None:
    chosen = choose(parse_challenges(header))
    assert (chosen.scheme if chosen else None) == scheme


def test_nothing_is_sent_before_the_registry_asked() -> None:
    realm = Realm()
    assert authentication(realm, USER).header("a", PULL) is None
    assert not realm.scopes


def test_a_registry_that_wants_bearer_gets_a_token_for_the_scopes_of_each_request() -> None:
    realm = Realm()
    subject = authentication(realm, USER)
    assert subject.learn(BEARER, "", frozenset(), None)
    assert not realm.scopes
    assert subject.header("a", PULL) == "Bearer known-1"
    assert subject.header("a", PUSH) == "Bearer known-2"
    assert subject.header("a", PULL) == "Bearer known-1"
    assert realm.scopes == [["repository:a:pull"], ["repository:a:pull,push"]]


def test_without_credentials_the_token_is_anonymous() -> None:
    subject = authentication(Realm())
    assert subject.learn(f"{BASIC}, {BEARER}", "a", PULL, None)
    assert subject.header("a", PULL) == "Bearer anonymous-1"


def test_a_mount_has_both_repositories_in_one_token() -> None:
    realm = Realm()
    subject = authentication(realm)
    subject.learn(BEARER, "a", PUSH, None)
    subject.header("a", PUSH | {"repository:b:pull"})
    assert realm.scopes == [["repository:a:pull,push", "repository:b:pull"]]


def test_a_refused_token_is_fetched_again() -> None:
    """BEHAVIOUR 8.1: a refresh in the middle of an upload."""
    subject = authentication(Realm())
    subject.learn(BEARER, "a", PUSH, None)
    sent = subject.header("a", PUSH)
    assert subject.learn(BEARER, "a", PUSH, sent)
    assert subject.header("a", PUSH) == "Bearer anonymous-2"


def test_a_token_that_another_thread_renewed_stays() -> None:
    realm = Realm()
    subject = authentication(realm)
    subject.learn(BEARER, "a", PUSH, None)
    old = subject.header("a", PUSH)
    subject.learn(BEARER, "a", PUSH, old)
    renewed = subject.header("a", PUSH)
    assert subject.learn(BEARER, "a", PUSH, old)
    assert subject.header("a", PUSH) == renewed
    assert len(realm.scopes) == 2


@pytest.mark.parametrize("header", [None, "", "Negotiate"])
def test_a_refusal_without_a_challenge_renews_the_token_of_the_known_one(header: str | None) -> None:
    subject = authentication(Realm())
    subject.learn(BEARER, "a", PUSH, None)
    sent = subject.header("a", PUSH)
    assert subject.learn(header, "a", PUSH, sent)
    assert subject.header("a", PUSH) != sent


@pytest.mark.parametrize("header", [None, "", "Negotiate", "Bearer"])
def test_a_registry_that_never_said_how_is_not_tried_again(header: str | None) -> None:
    subject = authentication(Realm(), USER)
    assert not subject.learn(header, "a", PULL, None)
    assert subject.header("a", PULL) is None


def test_a_registry_that_wants_basic_gets_the_user_once() -> None:
    """BEHAVIOUR 8.1."""
    realm = Realm()
    subject = authentication(realm, USER)
    assert subject.learn(BASIC, "a", PULL, None)
    assert subject.header("a", PULL) == BASIC_OF_USER
    assert not subject.learn(BASIC, "a", PULL, BASIC_OF_USER)
    assert not realm.scopes


@pytest.mark.parametrize("credentials", [None, Credentials(identity_token="identity")])
def test_basic_without_a_user_stays_anonymous_and_is_not_tried_again(credentials: Credentials | None) -> None:
    subject = authentication(Realm(), credentials)
    assert not subject.learn(BASIC, "a", PULL, None)
    assert subject.header("a", PULL) is None


def test_a_registry_may_change_its_mind() -> None:
    subject = authentication(Realm(), USER)
    subject.learn(BEARER, "a", PULL, None)
    sent = subject.header("a", PULL)
    assert subject.learn(BASIC, "a", PULL, sent)
    assert subject.header("a", PULL) == BASIC_OF_USER


def test_actions_that_the_registry_asks_for_are_added_for_good() -> None:
    realm = Realm()
    subject = authentication(realm)
    for scope in ("repository:a:delete repository:other:pull", "repository:a:sign", ""):
        assert subject.learn(f'{BEARER},scope="{scope}",error="insufficient_scope"', "a", PUSH, None)
    subject.header("a", PUSH)
    assert realm.scopes == [["repository:a:pull,push,delete,sign"]]


def test_a_request_that_only_looks_never_asks_for_more_than_pull() -> None:
    realm = Realm()
    subject = authentication(realm)
    subject.learn(BEARER + ',scope="repository:a:pull,push"', "a", PULL, None)
    subject.header("a", PULL)
    assert realm.scopes == [["repository:a:pull"]]


@pytest.mark.parametrize("secure", [True, False])
def test_the_way_the_challenge_came_decides_about_an_http_realm(*, secure: bool) -> None:
    """BEHAVIOUR 8.2."""
    realm = Realm()
    subject = authentication(realm, USER)
    assert subject.learn('Bearer realm="http://auth.example/token"', "a", PULL, None, secure=secure)
    if secure:
        with pytest.raises(AddressForbidden):
            subject.header("a", PULL)
        assert not realm.scopes
    else:
        assert subject.header("a", PULL) == "Bearer known-1"


def test_a_registry_token_is_shown_as_it_is_and_no_realm_is_asked() -> None:
    """docker's `registrytoken`: a registry takes it, or no other can be had."""
    realm = Realm()
    subject = authentication(realm, Credentials(registry_token="ready"))
    assert subject.learn(BEARER, "a", PULL, None)
    assert subject.header("a", PULL) == "Bearer ready"
    assert not subject.learn(BEARER, "a", PULL, "Bearer ready")
    assert not realm.scopes
