"""A real token server for the Distribution registry: it signs the tokens that `docker-registry` verifies.

Follows the token authentication specification of Distribution 2.8 (token, oauth, jwt, scope).
"""

import base64
import binascii
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs

import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from requests.auth import AuthBase

from tests.support.certificates import Certificates, pem, self_signed
from tests.support.loopback import Handler, LoopbackServer

Policy = Callable[[str | None, str, frozenset[str]], Iterable[str]]

# Distribution accepts a token until so many seconds after its end.
LEEWAY = 60


class Asked(NamedTuple):
    """Hold one request for a token: who asked (None: nobody, or refused), how, for which scopes, and the status."""

    user: str | None
    grant: Literal["basic", "anonymous", "password", "refresh_token"]
    scopes: tuple[str, ...]
    status: int


@dataclass(frozen=True)
class BearerAuth(AuthBase):
    """Send a token with each request of `requests`."""

    token: str

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class _RefusedError(Exception):
    """Say that the credentials are wrong, and not which part of them."""


class _TokenHandler(Handler):
    owner: "TokenServer"

    def answer_get(self) -> None:
        form = parse_qs(self.path.partition("?")[2])
        scopes = tuple(" ".join(form.get("scope", [])).split())
        offline = form.get("offline_token") == ["true"]
        credentials = self.headers.get("Authorization")
        grant: Literal["basic", "anonymous"] = "anonymous" if credentials is None else "basic"
        try:
            user = None if credentials is None else self.owner.user_of(credentials)
        except _RefusedError:
            self._refuse(Asked(None, grant, scopes, 401))
            return
        self._grant(Asked(user, grant, scopes, 200), self.owner.answer_key, offline=offline)

    def answer_post(self) -> None:
        form = {key: values[0] for key, values in parse_qs(b"".join(self.body_pieces()).decode()).items()}
        scopes = tuple(form.get("scope", "").split())
        offline = form.get("access_type") == "offline"
        grant: Literal["password", "refresh_token"] = (
            "password" if form.get("grant_type") == "password" else "refresh_token"
        )
        try:
            if grant == "password":
                user = self.owner.check(form.get("username", ""), form.get("password", ""))
            else:
                user = self.owner.user_of_identity(form.get("refresh_token", ""))
        except _RefusedError:
            self._refuse(Asked(None, grant, scopes, 401))
            return
        self._grant(Asked(user, grant, scopes, 200), "access_token", offline=offline)

    do_GET, do_POST = answer_get, answer_post  # http.server's names  # noqa: N815 - http.server's names

    def _grant(self, asked: Asked, key: str, *, offline: bool) -> None:
        answer: dict[str, Any] = {key: self.owner.token(asked.user, asked.scopes)}
        if self.owner.announce_expiry:
            answer["expires_in"] = self.owner.expires_in
            answer["issued_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if offline and asked.user is not None:
            answer["refresh_token"] = self.owner.identity_token(asked.user)
        self._send(asked, answer)

    def _refuse(self, asked: Asked) -> None:
        self._send(asked, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect credentials"}]})

    def _send(self, asked: Asked, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.owner.asked.append(asked)
        self.send_response(asked.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class TokenServer(LoopbackServer):
    """Grant tokens while the context lasts.

    `policy` says which of the asked actions a user (None: anonymous) gets on a repository; without one, users get
    all and anonymous clients get `pull` if `anonymous_pull`. Tokens are refused by the registry `expires_in`
    seconds after they were issued, to the second. `asked` lists all requests, oldest first.
    """

    handler = _TokenHandler
    service = "registry-of-tests"
    issuer = "token-server-of-tests"

    def __init__(
        self,
        users: Mapping[str, str] | None = None,
        *,
        anonymous_pull: bool = True,
        expires_in: int = 300,
        announce_expiry: bool = True,
        answer_key: Literal["token", "access_token"] = "token",
        policy: Policy | None = None,
        tls: Certificates | None = None,
    ) -> None:
        super().__init__(tls=tls)
        self._users = dict(users or {})
        self._anonymous_pull = anonymous_pull
        self._policy = policy or self._default_policy
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._x509 = self_signed(self._key, self.issuer)
        self._identities: dict[str, str] = {}
        self._guard = threading.Lock()
        self.expires_in = expires_in
        self.announce_expiry = announce_expiry
        self.answer_key = answer_key
        self.asked: list[Asked] = []

    @property
    def realm(self) -> str:
        return f"{self.url}/token"

    @property
    def certificate(self) -> bytes:
        """Return the PEM that the registry needs as its rootcertbundle."""
        return pem(self._x509)

    @property
    def scopes(self) -> list[str]:
        """Return all scopes that were asked for, oldest first."""
        return [scope for each in self.asked for scope in each.scopes]

    def bearer(self, user: str | None, repository: str, actions: str = "pull,push") -> BearerAuth:
        """Return the authentication of one user for one repository, for test code that speaks to the registry."""
        return BearerAuth(self.token(user, [f"repository:{repository}:{actions}"]))

    def identity_token(self, user: str) -> str:
        """Return an identity token, as a login leaves it in an auth file."""
        token = secrets.token_urlsafe(24)
        with self._guard:
            self._identities[token] = user
        return token

    def revoke_identities(self) -> None:
        """Refuse all identity tokens given out so far."""
        with self._guard:
            self._identities.clear()

    def token(self, user: str | None, scopes: Iterable[str]) -> str:
        """Sign what the policy grants, as a JWT with the certificate in its header (RFC 7515 4.1.6)."""
        header = {
            "typ": "JWT",
            "alg": "RS256",
            "x5c": [base64.b64encode(self._x509.public_bytes(serialization.Encoding.DER)).decode()],
        }
        issued = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": user or "",
            "aud": self.service,
            "iat": issued,
            "nbf": issued - LEEWAY,
            "exp": issued + self.expires_in - LEEWAY,
            "jti": secrets.token_hex(8),
            "access": [self._access(user, scope) for scope in scopes],
        }
        signed = f"{_base64url(json.dumps(header).encode())}.{_base64url(json.dumps(claims).encode())}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64url(signature)}"

    def user_of(self, authorization: str) -> str:
        kind, _, encoded = authorization.partition(" ")
        try:
            name, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _RefusedError from error
        if kind.lower() != "basic":
            raise _RefusedError
        return self.check(name, password)

    def check(self, name: str, password: str) -> str:
        if self._users.get(name) != password:
            raise _RefusedError
        return name

    def user_of_identity(self, token: str) -> str:
        with self._guard:
            if token not in self._identities:
                raise _RefusedError
            return self._identities[token]

    def _access(self, user: str | None, scope: str) -> dict[str, Any]:
        # repository names may hold colons where a host with its port is part of them
        kind, _, rest = scope.partition(":")
        name, _, listed = rest.rpartition(":")
        actions = frozenset(listed.split(","))
        granted = self._policy(user, name, actions) if kind == "repository" else (actions if user else ())
        return {"type": kind, "name": name, "actions": sorted(granted)}

    def _default_policy(self, user: str | None, repository: str, actions: frozenset[str]) -> Iterable[str]:
        if user is not None:
            return actions
        return actions & {"pull"} if self._anonymous_pull else ()


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
