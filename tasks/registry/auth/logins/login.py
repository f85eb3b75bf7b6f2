"""The logins of clouds, each by its vendor's own library (BEHAVIOUR 8.2)."""

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from tasks.errors import AddressForbidden, SettingsInvalid
from tasks.registry.auth.challenge import Challenge
from tasks.registry.auth.tokens import Send
from tasks.registry.http.expiring_cache import Expiring, ExpiringCache
from tasks.registry.settings import Credentials, Login

# A login is renewed so many seconds before it ends, or when a quarter of its life is left.
LONGEST_MARGIN: Final = 300.0
# A login that ended already, by a clock that differs from the cloud's, serves for so many seconds.
LEAST_SECONDS: Final = 60.0

_NAMES: Final[dict[Login, str]] = {
    "ecr": "a registry of Amazon ECR (ACCOUNT.dkr.ecr.REGION.amazonaws.com, public.ecr.aws)",
    "google": "a registry of Google (LOCATION-docker.pkg.dev, gcr.io)",
    "azure": "a registry of Azure (NAME.azurecr.io)",
}


def check_host(login: Login, registry: str) -> None:
    """Raise SettingsInvalid for a host that is none of the cloud's: the token of a login opens more than a registry."""
    # Few registries need the login of a cloud.
    from tasks.registry.auth.logins import azure, ecr, google  # noqa: PLC0415

    serves: dict[Login, Callable[[str], bool]] = {"ecr": ecr.serves, "google": google.serves, "azure": azure.serves}
    if not serves[login](registry):
        raise SettingsInvalid(f'login = "{login}" is for {_NAMES[login]}, and {registry} is not one')


class CloudLogin:
    """The login of one registry, renewed before it ends. Thread-safe: one thread logs in, others wait."""

    def __init__(self, send: Send, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._cache: ExpiringCache[tuple[Login, str], Credentials] = ExpiringCache(clock)

    def credentials(self, login: Login, base: str) -> Credentials:
        """Return the credentials for the registry at `base`, a URL without a path.

        Raises SettingsInvalid if the library is not installed, Transient, RegistryError.
        """
        return self._cache.value((login, base), lambda: self._log_in(login, base))

    def forget(self, credentials: Credentials) -> None:
        """Drop credentials that were refused."""
        self._cache.forget(credentials)

    def _log_in(self, login: Login, base: str) -> Expiring[Credentials]:
        # As above.
        from tasks.registry.auth.logins import azure, ecr, google  # noqa: PLC0415

        if login == "azure":
            found = azure.log_in(base, self._send)
        else:
            found = (ecr if login == "ecr" else google).log_in(urlsplit(base).netloc)
        seconds = max(found.seconds, LEAST_SECONDS)
        return Expiring(found.value, seconds - min(LONGEST_MARGIN, seconds / 4))


def check_realm_of_login(challenge: Challenge, base: str) -> None:
    """Raise AddressForbidden for a realm on another host: the token of a login goes to the registry alone."""
    realm = challenge.parameters.get("realm", "")
    if urlsplit(realm).netloc.lower() != urlsplit(base).netloc.lower():
        raise AddressForbidden(
            f"{urlsplit(base).netloc} names a token realm on another host, where the login of a cloud is not sent."
        )
