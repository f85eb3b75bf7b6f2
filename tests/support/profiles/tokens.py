"""The token server of a registry: GET with Basic or nothing, and Azure's exchange in two steps.

Follows the token authentication specification of Distribution. A token is a JWT whose `access[].actions` say what was
granted, which may be less than what was asked for.
"""

import base64
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.support.profiles.answers import Refused, document, error
from tests.support.profiles.request import NAME, Request
from tests.support.scripted import Answer
from tests.support.token_server import Asked

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry

_SCOPE = re.compile(r"(?P<kind>repository|registry)(?:\([a-z]+\))?:(?P<name>.+):(?P<actions>[a-z*,]+)")


@dataclass(frozen=True)
class Grant:
    """What a token is good for, until when."""

    user: str | None
    access: Mapping[str, frozenset[str]]
    until: float


class Tokens:
    """Give tokens out and know them again; `asked` lists the requests for tokens, oldest first."""

    def __init__(self, registry: "ProfileRegistry") -> None:
        self._registry = registry
        self._rules = registry.profile.access
        self._grants: dict[str, Grant] = {}
        self._refresh: dict[str, str] = {}
        self.asked: list[Asked] = []

    @property
    def realm(self) -> str:
        return f"{self._registry.url}{self._rules.token_path}"

    @property
    def service(self) -> str:
        return self._registry.host

    def answers(self, path: str) -> bool:
        """Tell whether a path is the token server's."""
        return path in {self._rules.token_path, self._rules.exchange_path}

    def answer(self, request: Request) -> Answer:
        """Answer a request for a token."""
        if request.method == "GET" and request.path == self._rules.token_path:
            return self._by_get(request)
        if request.method == "POST" and self._rules.exchange_path is not None:
            return self._by_post(request)
        return error(405, "UNSUPPORTED", "The operation is unsupported.")

    def find(self, token: str) -> Grant | None:
        """Return the grant of a token that has not expired."""
        found = self._grants.get(token)
        return found if found is not None and found.until > self._registry.clock.now() else None

    def issue(self, user: str | None, scopes: tuple[str, ...]) -> str:
        """Return a token for what the user gets of these scopes."""
        access = [self._access(user, scope) for scope in scopes]
        rights = {each["name"]: frozenset[str]() for each in access}
        for each in access:
            rights[each["name"]] |= frozenset(each["actions"])
        token = _jwt({"sub": user or "", "aud": self.service, "jti": secrets.token_hex(8), "access": access})
        self._grants[token] = Grant(user, rights, self._registry.clock.now() + self._rules.token_seconds)
        return token

    def revoke(self) -> None:
        """Forget all tokens, as if they had expired."""
        self._grants.clear()

    def _by_get(self, request: Request) -> Answer:
        scopes = tuple(" ".join(request.query.get("scope", [])).split())
        if request.first("service") != self.service:
            self._registry.violate(request, "the service is not that of the challenge")
        if len(set(scopes)) != len(scopes):
            self._registry.violate(request, "one scope stands twice")
        grant = "anonymous" if request.headers.get("Authorization") is None else "basic"
        try:
            user = self._registry.access.login(request.headers.get("Authorization"))
            self._refuse_disabled(scopes)
        except Refused as refused:
            status = refused.answer.status if isinstance(refused.answer, Answer) else 0
            self.asked.append(Asked(None, "basic", scopes, status))
            raise
        self.asked.append(Asked(user, "anonymous" if grant == "anonymous" else "basic", scopes, 200))
        return self._granted(user, scopes, self._rules.token_keys)

    def _by_post(self, request: Request) -> Answer:
        body = request.read(1 << 20, error(413, "SIZE_INVALID", "the form is too large"))
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        if request.path == self._rules.exchange_path:
            return self._exchanged(form)
        user = self._refresh.get(form.get("refresh_token", ""))
        if form.get("grant_type") != "refresh_token" or user is None:
            raise Refused(self._rules.wrong_login.answer())
        scopes = tuple(form.get("scope", "").split())
        self.asked.append(Asked(user, "refresh_token", scopes, 200))
        return self._granted(user, scopes, ("access_token",))

    def _exchanged(self, form: Mapping[str, str]) -> Answer:
        """Answer the first of Azure's two steps: a token of the directory for one of the registry."""
        user = next((user for user, secret in self._registry.users.items() if secret == form.get("access_token")), None)
        if form.get("grant_type") != "access_token" or user is None:
            raise Refused(self._rules.wrong_login.answer())
        token = secrets.token_urlsafe(24)
        self._refresh[token] = user
        return document(200, {"refresh_token": token})

    def _granted(self, user: str | None, scopes: tuple[str, ...], keys: tuple[str, ...]) -> Answer:
        token = self.issue(user, scopes)
        content: dict[str, Any] = dict.fromkeys(keys, token)
        if self._rules.names_expiry:
            content["expires_in"] = int(self._rules.token_seconds)
        return document(200, content)

    def _refuse_disabled(self, scopes: tuple[str, ...]) -> None:
        for scope in scopes:
            match = _SCOPE.fullmatch(scope)
            namespace = match["name"].partition("/")[0] if match else ""
            if namespace in self._registry.disabled_namespaces:
                raise Refused(self._rules.namespace_disabled.answer(namespace=namespace))

    def _access(self, user: str | None, scope: str) -> dict[str, Any]:
        match = _SCOPE.fullmatch(scope)
        if match is None or (match["kind"] == "repository" and not NAME.fullmatch(match["name"])):
            raise Refused(error(400, "UNSUPPORTED", f"scope {scope} is not one"))
        name, asked = match["name"], frozenset(match["actions"].split(","))
        granted = self._granted_actions(user, name, asked) if match["kind"] == "repository" else frozenset[str]()
        return {"type": match["kind"], "name": name, "actions": sorted(granted)}

    def _granted_actions(self, user: str | None, name: str, asked: frozenset[str]) -> frozenset[str]:
        access, store = self._registry.access, self._registry.store
        if self._rules.namespace_missing is None and not access.exists(name.partition("/")[0]):
            return frozenset()
        granted = access.granted(user, name, asked)
        if self._rules.creates != "token" or name in store.repositories:
            return granted
        if "push" not in granted:
            return frozenset()
        if self._registry.read_only:
            # Quay fails in making the repository, and answers as it does to a write.
            raise Refused(self._registry.profile.state.read_only.answer())
        store.create(name, private=self._rules.creates_private)
        return granted


def _jwt(claims: Mapping[str, Any]) -> str:
    parts = [_base64url(json.dumps(each).encode()) for each in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join([*parts, _base64url(secrets.token_bytes(16))])


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
