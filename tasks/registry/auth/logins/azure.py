"""The login at Azure's registries by azure-identity, which finds the credentials in its own way.

In two exchanges (Azure/acr, "Azure Active Directory based authentication with ACR"): the registry gives an identity
token for the token of the user (POST /oauth2/exchange), and for that, the tokens of requests (POST /oauth2/token, which
is the realm of its challenges).
"""

import base64
import re
import time
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from tasks.errors import AuthenticationRefused, RegistryUnavailable, ResponseInvalid
from tasks.registry.auth.realm_answer import check_served
from tasks.registry.auth.tokens import Send
from tasks.registry.http.expiring_cache import Expiring
from tasks.registry.http.refusal import clean
from tasks.registry.settings import Credentials
from tasks.registry.vendor_libraries import need

_SCOPE: Final = "https://containerregistry.azure.net/.default"
_HOST: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9]+)?\.azurecr\.(?:io|us|cn)")
# The life of an identity token that does not say how long it lives; usually it is three hours.
_UNSAID_SECONDS: Final = 1800.0


class _Exchanged(msgspec.Struct):
    refresh_token: str


class _Payload(msgspec.Struct):
    exp: float


_exchanges: Final = msgspec.json.Decoder(_Exchanged)
_payloads: Final = msgspec.json.Decoder(_Payload, strict=False)


def serves(registry: str) -> bool:
    """Tell whether a registry is one of Azure's."""
    return _HOST.fullmatch(registry) is not None


def log_in(base: str, send: Send) -> Expiring[Credentials]:
    """Return an identity token for the registry at `base`, a URL without a path.

    Raises SettingsInvalid without azure-identity, Transient, RegistryError.
    """
    registry = urlsplit(base).netloc
    token = _own_token(registry)
    form = {"grant_type": "access_token", "service": registry, "access_token": token}
    url = f"{base}/oauth2/exchange"
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    status, answered, body = send("POST", url, headers, urlencode(form).encode())
    authorizations = (f"Bearer {token}",)
    check_served(url, status, answered, body, wanted="the login of Azure", by_token=True, authorizations=authorizations)
    try:
        identity = _exchanges.decode(body).refresh_token
    except (ValueError, RecursionError):
        identity = ""
    if not identity:
        raise ResponseInvalid(f"{registry} answered the login of Azure without a token.")
    return Expiring(Credentials(identity_token=identity), _seconds_of(identity))


def _own_token(registry: str) -> str:
    """Return the token of this process's user at Azure."""
    purpose = f"Logging in to {registry}"
    identity = need("azure.identity", extra="azure", purpose=purpose)
    exceptions = need("azure.core.exceptions", extra="azure", purpose=purpose)
    try:
        with identity.DefaultAzureCredential() as credential:
            token: str = credential.get_token(_SCOPE).token
    except (exceptions.ServiceRequestError, exceptions.ServiceResponseError) as error:
        raise RegistryUnavailable(f"Azure could not be asked to log in to {registry}: {clean(str(error))}.") from None
    except Exception as error:  # noqa: BLE001 - see below
        # Of its variables and files azure-identity says what is wrong by errors of any kind.
        raise AuthenticationRefused(f"Azure gives no login for {registry}: {clean(str(error))}.") from None
    return token


def _seconds_of(token: str) -> float:
    """Return the life of a token that is a JWT, and that of no special token for any other."""
    payload = token.partition(".")[2].partition(".")[0]
    try:
        ends = _payloads.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).exp
    except (ValueError, RecursionError):
        return _UNSAID_SECONDS
    return ends - time.time()
