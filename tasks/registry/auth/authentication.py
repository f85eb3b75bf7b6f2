"""Authentication to one registry: none, Basic or Bearer, by its last challenge."""

from typing import Final

from tasks.errors import AuthenticationRefused
from tasks.registry.auth.basic import basic_authorization
from tasks.registry.auth.challenge import Challenge, parse_challenges
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.auth.logins.login import CloudLogin, check_realm_of_login
from tasks.registry.auth.realm_answer import RealmGone
from tasks.registry.auth.scopes import merge_scopes
from tasks.registry.auth.tokens import TokenSource
from tasks.registry.settings import Credentials, Login, Role

_BEARER: Final = "Bearer "


def choose(challenges: list[Challenge]) -> Challenge | None:
    """Return the challenge to answer: the first Bearer with a realm, else the first Basic, else None.

    Bearer comes first whether there are credentials or not: it works without them, and with them the password goes to
    the realm once, not to the registry with every request.
    """
    bearer = (each for each in challenges if each.scheme == "bearer" and each.parameters.get("realm"))
    basic = (each for each in challenges if each.scheme == "basic")
    return next(bearer, None) or next(basic, None)


class Authentication:
    """The Authorization header of one registry in one role. Thread-safe.

    No header is sent before the first 401: an open registry never sees a credential.
    """

    def __init__(
        self, registry: str, role: Role, store: CredentialStore, tokens: TokenSource, login: CloudLogin
    ) -> None:
        self._registry = registry
        self._role: Role = role
        self._store = store
        self._tokens = tokens
        self._login = login
        self._known: tuple[Challenge, str] | None = None
        # The realm that gave the last token.
        self._served: str | None = None
        self._merged: dict[frozenset[str], frozenset[str]] = {}

    def header(self, repository: str, scopes: frozenset[str]) -> str | None:
        """Return the Authorization value for a request that needs `scopes`, None for no header.

        `repository` selects the credentials; one token covers scopes of several repositories (a mount). May fetch a
        token. Raises the errors of `TokenSource.token` and `CredentialStore.find`.
        """
        if self._known is None:
            return None
        challenge, base = self._known
        found = self._store.find(self._registry, repository, self._role)
        login = found.login if found is not None else None
        credentials = found if login is None else self._login.credentials(login, base)
        if challenge.scheme == "basic":
            return _basic(credentials)
        if credentials is not None and credentials.registry_token:
            return _BEARER + credentials.registry_token
        if login is None or credentials is None:
            return self._bearer(challenge, scopes, credentials, base)
        check_realm_of_login(challenge, base)
        try:
            return self._bearer(challenge, scopes, credentials, base)
        except AuthenticationRefused:
            # The token of a cloud may be revoked, or end early: the next one serves, or the refusal stays.
            self._login.forget(credentials)
            return self._bearer(challenge, scopes, self._login.credentials(login, base), base)

    def _bearer(
        self, challenge: Challenge, scopes: frozenset[str], credentials: Credentials | None, base: str
    ) -> str | None:
        """Return the Authorization value with a token of a realm, None if the realm is at another address by now."""
        merged = self._merged.get(scopes, scopes)
        try:
            token = self._tokens.token(challenge, merged, credentials, origin=base)
        except RealmGone:
            # The realm served before: the challenge to a request without a token names its new address.
            if self._served != challenge.parameters["realm"]:
                raise
            self._known = self._served = None
            return None
        self._served = challenge.parameters["realm"]
        return _BEARER + token

    def user(self, repository: str) -> str | None:
        """Return a repository's user, "" for an identity token; None without credentials or before a challenge."""
        found = self._store.find(self._registry, repository, self._role) if self._known is not None else None
        return None if found is None else found.username

    def basic(self, repository: str) -> str | None:
        """Return the Authorization value with user and password of a repository, None without a password."""
        found = self._store.find(self._registry, repository, self._role)
        return _basic(found) if found is not None and found.password else None

    def learn(
        self,
        www_authenticate: str | None,
        repository: str,
        scopes: frozenset[str],
        sent: str | None,
        *,
        secure: bool = True,
    ) -> bool:
        """Learn from a 401 answer and return whether to try the request again with a new `header`.

        `sent` is the refused Authorization value, None if there was none; `secure` says whether the answer came by
        https. For Bearer the result is True, and the next `header` fetches a new token: the caller must try only once
        more. For Basic it is True only if there are credentials other than the refused ones. Fetches nothing.
        """
        if sent is not None and sent.startswith(_BEARER):
            self._tokens.forget(sent.removeprefix(_BEARER))
        chosen = choose(parse_challenges(www_authenticate or ""))
        if chosen is not None:
            self._known = (chosen, f"{'https' if secure else 'http'}://{self._registry}")
            merged = merge_scopes(self._merged.get(scopes, scopes), chosen.parameters.get("scope", ""))
            if merged != scopes:
                self._merged[scopes] = merged
        if self._known is None:
            return False
        if self._known[0].scheme == "basic":
            found = self._store.find(self._registry, repository, self._role)
            if found is not None and found.login is not None:
                return self._learn_refusal(found.login, sent)
            renewed = _basic(found)
            return renewed is not None and renewed != sent
        return sent is None or sent != self._registry_token(repository)

    def _learn_refusal(self, login: Login, sent: str | None) -> bool:
        """Drop the credentials of a login that were refused; return whether to try again, with other ones."""
        if sent is not None and self._known is not None:
            refused = self._login.credentials(login, self._known[1])
            if _basic(refused) == sent:
                self._login.forget(refused)
        return True

    def _registry_token(self, repository: str) -> str | None:
        """Return the Authorization value of a token that cannot be renewed, None without such a token."""
        credentials = self._store.find(self._registry, repository, self._role)
        return _BEARER + credentials.registry_token if credentials and credentials.registry_token else None


def _basic(credentials: Credentials | None) -> str | None:
    if credentials is None or not credentials.username:
        return None
    return basic_authorization(credentials)
