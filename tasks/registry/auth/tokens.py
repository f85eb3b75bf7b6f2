"""Bearer tokens: fetched from the realm that a registry names, shared until shortly before they end."""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from tasks.errors import AddressForbidden, ResponseInvalid
from tasks.registry.auth.basic import basic_authorization
from tasks.registry.auth.challenge import Challenge
from tasks.registry.auth.realm_answer import check_served, words
from tasks.registry.http.addresses import forbid_inward, host_of
from tasks.registry.http.expiring_cache import Expiring, ExpiringCache
from tasks.registry.http.redirects import are_loopback
from tasks.registry.settings import Credentials

CLIENT_ID: Final = "imagepusher"
DEFAULT_SECONDS: Final = 60.0
LONGEST_MARGIN: Final = 10.0

_HEADER_SAFE: Final = re.compile(r"[\x21-\x7e]+")


class Send(Protocol):
    """Make one HTTP request, which the caller retries, and return status, headers and the capped body."""

    def __call__(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]: ...


class _Wanted(msgspec.Struct, frozen=True):
    realm: str
    service: str
    scopes: frozenset[str]
    credentials: Credentials | None


class _Answer(msgspec.Struct):
    token: Any = None
    access_token: Any = None
    expires_in: Any = None


_answers: Final = msgspec.json.Decoder(_Answer)


class TokenSource:
    """The tokens of a process, by realm, service, scopes and user. Thread-safe: one thread fetches, others wait.

    Follows the Distribution token authentication specification ("token" and "oauth"). `clock` is a monotonic clock:
    the realm's `issued_at` is ignored, because its clock may differ from this machine's.
    """

    def __init__(self, send: Send, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._cache: ExpiringCache[_Wanted, str] = ExpiringCache(clock)

    def token(
        self, challenge: Challenge, scopes: frozenset[str], credentials: Credentials | None, *, origin: str
    ) -> str:
        """Return a token for all of `scopes` that does not end within the next moments.

        `origin` is the URL of the registry that made the challenge. An identity token is exchanged by OAuth2's POST; a
        user and a password go as Basic authentication; without credentials the realm is asked anonymously. Raises
        AddressForbidden for a realm at a forbidden address, AuthenticationRefused if the realm refuses,
        RateLimited and RegistryUnavailable if the realm does not serve, RealmGone if it is not at its address, and
        ResponseInvalid for any other answer.
        """
        realm = challenge.parameters.get("realm", "")
        check_realm(realm, origin, credentials)
        wanted = _Wanted(realm, challenge.parameters.get("service", ""), scopes, credentials)
        return self._cache.value(wanted, lambda: self._fetch(wanted))

    def forget(self, token: str) -> None:
        """Drop a token that a registry refused."""
        self._cache.forget(token)

    def _fetch(self, wanted: _Wanted) -> Expiring[str]:
        credentials = wanted.credentials
        by_token = credentials is not None and bool(credentials.identity_token)
        request = _oauth_request(wanted) if by_token else _token_request(wanted)
        status, headers, body = self._send(*request)
        sent = (basic_authorization(credentials), f"Bearer {credentials.identity_token}") if credentials else ()
        asked = f"a token for {_listed(wanted.scopes)}"
        check_served(wanted.realm, status, headers, body, wanted=asked, by_token=by_token, authorizations=sent)
        return _parse_answer(body, urlsplit(wanted.realm).netloc, words(body, headers.get("Content-Type"), sent))


def check_realm(realm: str, origin: str, credentials: Credentials | None) -> None:
    """Refuse a realm that is not http(s), leads inward from a public registry, or is less secure than the registry.

    Over plain http others could see the credentials, or choose the token for the registry.

    Raises ResponseInvalid or AddressForbidden.
    """
    registry = urlsplit(origin)
    scheme = realm.partition(":")[0].lower()
    if scheme not in {"http", "https"}:
        raise ResponseInvalid(f"{registry.netloc} names a token realm that is not an http or https URL.")
    forbid_inward(registry.netloc, realm)
    if scheme == "http" and registry.scheme != "http" and not are_loopback(origin, realm):
        raise AddressForbidden(
            f"{registry.netloc} is reached by https, but its token realm {host_of(realm)} is not"
            f"{', and would get the credentials unencrypted' if credentials is not None else ''}."
        )


def _token_request(wanted: _Wanted) -> tuple[str, str, dict[str, str], None]:
    """Build the GET of Distribution's "token" specification, "Requesting a Token"."""
    parameters = [("service", wanted.service)] if wanted.service else []
    parameters += [("scope", scope) for scope in sorted(wanted.scopes)]
    parts = urlsplit(wanted.realm)
    query = "&".join(filter(None, [parts.query, urlencode(parameters)]))
    headers = {"Accept": "application/json"}
    if wanted.credentials is not None:
        headers["Authorization"] = basic_authorization(wanted.credentials)
    return "GET", parts._replace(query=query, fragment="").geturl(), headers, None


def _oauth_request(wanted: _Wanted) -> tuple[str, str, dict[str, str], bytes]:
    """Build the POST of Distribution's "oauth" specification, "Refreshing a token"."""
    form = {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "service": wanted.service,
        "scope": " ".join(sorted(wanted.scopes)),
        "refresh_token": wanted.credentials.identity_token if wanted.credentials else "",
    }
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    return "POST", wanted.realm, headers, urlencode({name: value for name, value in form.items() if value}).encode()


def _parse_answer(body: bytes, realm: str, said: str) -> Expiring[str]:
    try:
        answer = _answers.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The decoder's message and its cause may quote the token.
        raise ResponseInvalid(f"{realm} answered the request for a token with a body that is no JSON object.") from None
    token = next((each for each in (answer.token, answer.access_token) if isinstance(each, str) and each), "")
    if not token:
        raise ResponseInvalid(f"{realm} gave no token{said}.")
    if not _HEADER_SAFE.fullmatch(token):
        raise ResponseInvalid(f"{realm} gave a token that no header can hold.")
    life = _life(answer.expires_in)
    return Expiring(token, life - min(LONGEST_MARGIN, life / 4))


def _life(said: object) -> float:
    """Return the seconds for which a token serves; what a realm says may be a text, or nonsense."""
    try:
        seconds = float(said) if isinstance(said, int | float | str) and not isinstance(said, bool) else 0.0
    except (ValueError, OverflowError):
        seconds = 0.0
    return seconds if 0 < seconds < float("inf") else DEFAULT_SECONDS


def _listed(scopes: frozenset[str]) -> str:
    return " and ".join(sorted(scopes)) or "the registry itself"
