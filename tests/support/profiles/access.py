"""Who may do what: users, rights, challenges, and which repositories exist."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tests.support.profiles.answers import Refusal, Refused
from tests.support.profiles.profile import UNAUTHORIZED
from tests.support.profiles.request import Request
from tests.support.profiles.store import Repository
from tests.support.scripted import Answer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry

_WRITES = {"POST", "PUT", "PATCH"}


class Access:
    """Let requests in, or refuse them with the profile's words."""

    def __init__(self, registry: "ProfileRegistry") -> None:
        self._registry = registry
        self._rules = registry.profile.access

    def admit(self, request: Request) -> None:
        """Note who sends a request, and with which rights; raises Refused where it may not be sent."""
        if self._rules.broken == "no_challenge":
            raise Refused(UNAUTHORIZED.answer())
        if self._rules.scheme == "basic":
            request.user = self._user(request)
        if self._rules.scheme == "bearer":
            request.user, request.access = self._token(request)
        if request.route.endpoint != "base":
            self._admit_to_namespace(request)
            self.require(request, self.action(request))

    def action(self, request: Request) -> str:
        """Return the action that a request needs on its repository."""
        if request.method == "DELETE" and request.route.endpoint in {"manifest", "blob"}:
            return self._rules.delete_action
        session = request.route.endpoint in {"session", "uploads"}
        return "push" if session or request.method in _WRITES else "pull"

    def require(self, request: Request, action: str) -> None:
        """Raise Refused unless a request has a right on its repository."""
        if not self.may(request, request.name, action):
            raise Refused(self._refusal(request, self._rules.right_missing, insufficient=True))

    def may(self, request: Request, name: str, action: str) -> bool:
        """Tell whether the sender of a request has a right on a repository."""
        if self._rules.scheme == "bearer":
            return action in request.access.get(name, frozenset())
        return self._rules.scheme == "none" or action in self.granted(request.user, name, {action})

    def granted(self, user: str | None, name: str, asked: Iterable[str]) -> frozenset[str]:
        """Return which of the actions that were asked for a user gets; None is nobody."""
        asked = frozenset(asked)
        if self._registry.policy is not None:
            return frozenset(self._registry.policy(user, name, asked))
        if user is not None:
            return asked
        repository = self._registry.store.repositories.get(name)
        public = self._rules.anonymous_pull and not (repository and repository.private)
        return asked & {"pull"} if public else frozenset()

    def login(self, authorization: str | None) -> str | None:
        """Return the user of a Basic header, None without one; raises Refused for a wrong login."""
        if authorization is None:
            return None
        kind, _, encoded = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = password = ""
        if kind.lower() != "basic" or self._registry.users.get(user) != password or not password:
            raise Refused(self._rules.wrong_login.answer(self._basic()))
        return user

    def repository(self, request: Request) -> Repository:
        """Return the repository of a request; raises Refused where it does not exist."""
        found = self._registry.store.repositories.get(request.name)
        if found is None:
            raise Refused(self._refusal(request, self._rules.repository_unknown))
        return found

    def repository_to_write(self, request: Request) -> Repository:
        """Return the repository of a push, made where the profile makes it at this moment."""
        if self._rules.creates == "push":
            return self._registry.store.create(request.name, private=self._rules.creates_private)
        return self.repository(request)

    def exists(self, namespace: str) -> bool:
        """Tell whether a namespace exists."""
        return self._registry.namespaces is None or namespace in self._registry.namespaces

    def _admit_to_namespace(self, request: Request) -> None:
        namespace = request.name.partition("/")[0]
        if namespace in self._registry.disabled_namespaces:
            raise Refused(self._rules.namespace_disabled.answer(**_names(request)))
        if self._rules.namespace_missing is not None and not self.exists(namespace):
            raise Refused(self._rules.namespace_missing.answer(**_names(request)))

    def _user(self, request: Request) -> str | None:
        user = self.login(request.headers.get("Authorization"))
        is_ping = request.route.endpoint == "base"
        if user is None and (is_ping or not self._rules.anonymous_pull or self.action(request) != "pull"):
            raise Refused(UNAUTHORIZED.answer(self._basic()))
        return user

    def _token(self, request: Request) -> tuple[str | None, Mapping[str, frozenset[str]]]:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if not token:
            raise Refused(UNAUTHORIZED.answer(self._challenge(request)))
        grant = self._registry.tokens.find(token) if kind.lower() == "bearer" else None
        if grant is None:
            raise Refused(UNAUTHORIZED.answer(self._challenge(request, "invalid_token")))
        return grant.user, grant.access

    def _refusal(self, request: Request, refusal: Refusal, *, insufficient: bool = False) -> Answer:
        headers = {}
        if refusal.status == UNAUTHORIZED.status:
            fault = "insufficient_scope" if insufficient else ""
            headers = self._challenge(request, fault) if self._rules.scheme == "bearer" else self._basic()
        return refusal.answer(headers, **_names(request))

    def _basic(self) -> dict[str, str]:
        return {"WWW-Authenticate": f'Basic realm="{self._registry.url}"'}

    def _challenge(self, request: Request, fault: str = "") -> dict[str, str]:
        parts = [f'realm="{self._registry.tokens.realm}"', f'service="{self._registry.tokens.service}"']
        if request.name:
            action = self.action(request)
            parts.append(f'scope="repository:{request.name}:{"pull,push" if action == "push" else action}"')
        if fault:
            parts.append(f'error="{fault}"')
        return {"WWW-Authenticate": f"Bearer {','.join(parts)}"}


def _names(request: Request) -> dict[str, str]:
    return {
        "repository": request.name,
        "namespace": request.name.partition("/")[0],
        "tag": request.reference,
        "digest": request.reference,
    }
