"""Authentication to one registry that is made ready when the registry first asks for it: an open one never does."""

import threading
from typing import TYPE_CHECKING

from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.http.connections import Connections
from tasks.registry.settings import HttpLimits, Role

if TYPE_CHECKING:
    from tasks.registry.auth.authentication import Authentication


class AuthenticationOnDemand:
    """The Authorization header of one registry in one role. Thread-safe; `Authentication` has the meaning of all."""

    def __init__(
        self, registry: str, role: Role, store: CredentialStore, connections: Connections, limits: HttpLimits
    ) -> None:
        self._registry = registry
        self._role: Role = role
        self._store = store
        self._connections = connections
        self._limits = limits
        self._guard = threading.Lock()
        self._made: Authentication | None = None

    def header(self, repository: str, scopes: frozenset[str]) -> str | None:
        """Return the Authorization value for a request, None for no header; raises the errors of a token's fetch."""
        return None if self._made is None else self._made.header(repository, scopes)

    def user(self, repository: str) -> str | None:
        """Return a repository's user, None without credentials or before a challenge."""
        return None if self._made is None else self._made.user(repository)

    def basic(self, repository: str) -> str | None:
        """Return the Authorization value with user and password of a repository, None without a password."""
        return self._make().basic(repository)

    def learn(
        self,
        www_authenticate: str | None,
        repository: str,
        scopes: frozenset[str],
        sent: str | None,
        *,
        secure: bool = True,
    ) -> bool:
        """Learn from a 401 answer and return whether to try the request again with a new `header`."""
        return self._make().learn(www_authenticate, repository, scopes, sent, secure=secure)

    def _make(self) -> "Authentication":
        from tasks.registry.auth.authentication import Authentication  # noqa: PLC0415
        from tasks.registry.auth.logins.login import CloudLogin  # noqa: PLC0415
        from tasks.registry.auth.realms import Realms  # noqa: PLC0415
        from tasks.registry.auth.tokens import TokenSource  # noqa: PLC0415

        with self._guard:
            if self._made is None:
                ask = Realms(self._connections, self._limits).send
                self._made = Authentication(self._registry, self._role, self._store, TokenSource(ask), CloudLogin(ask))
            return self._made
