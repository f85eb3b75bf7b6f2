"""The login at Google's registries by google-auth, which finds the credentials in its own way.

The access token of a user, a service account or a workload serves as a password for an hour at most.
"""

import re
from datetime import UTC, datetime
from typing import Final

from tasks.errors import AuthenticationRefused, RegistryUnavailable
from tasks.registry.http.expiring_cache import Expiring
from tasks.registry.http.refusal import clean
from tasks.registry.settings import Credentials
from tasks.registry.vendor_libraries import need

_USER: Final = "oauth2accesstoken"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_HOST: Final = re.compile(r"(?:[a-z0-9-]+\.)?gcr\.io|[a-z0-9-]+\.pkg\.dev")
# The life of a token that does not say how long it lives.
_UNSAID_SECONDS: Final = 600.0


def serves(registry: str) -> bool:
    """Tell whether a registry is one of Google's: Artifact Registry, or Container Registry by its old names."""
    return _HOST.fullmatch(registry) is not None


def log_in(registry: str) -> Expiring[Credentials]:
    """Return the user and password for a registry of Google.

    Raises SettingsInvalid without google-auth, AuthenticationRefused, RegistryUnavailable.
    """
    purpose = f"Logging in to {registry}"
    auth = need("google.auth", extra="google", purpose=purpose)
    transport = need("google.auth.transport.requests", extra="google", purpose=purpose)
    exceptions = need("google.auth.exceptions", extra="google", purpose=purpose)
    try:
        found, _ = auth.default(scopes=[_SCOPE])
        with transport.requests.Session() as session:
            found.refresh(transport.Request(session))
    except exceptions.TransportError as error:
        raise RegistryUnavailable(f"Google could not be asked to log in to {registry}: {clean(str(error))}.") from None
    except Exception as error:  # noqa: BLE001 - see below
        # Of its variables and files google-auth says what is wrong by errors of any kind.
        kind = RegistryUnavailable if getattr(error, "retryable", False) else AuthenticationRefused
        raise kind(f"Google gives no login for {registry}: {clean(str(error))}.") from None
    # google-auth tells the end in UTC without a zone.
    ends = found.expiry
    seconds = (ends.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() if ends else _UNSAID_SECONDS
    return Expiring(Credentials(_USER, found.token), seconds)
