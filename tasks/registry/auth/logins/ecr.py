"""The login at Amazon ECR by boto3, which finds the credentials in its own way (GetAuthorizationToken).

The token serves as a password for 12 hours, at every private registry of its region that the user may read or write.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from tasks.errors import AuthenticationRefused, ImagePusherError, RegistryUnavailable, ResponseInvalid
from tasks.registry.http.expiring_cache import Expiring
from tasks.registry.http.refusal import clean
from tasks.registry.settings import Credentials
from tasks.registry.vendor_libraries import need

PUBLIC: Final = "public.ecr.aws"

_HOST: Final = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.(?:aws|amazonwebservices\.com\.cn))"
)
# The API of public registries is in this region alone.
_PUBLIC_REGION: Final = "us-east-1"
_SECONDS: Final = 30


class Place(NamedTuple):
    """The account and the region of a registry."""

    account: str
    region: str


def place_of(registry: str) -> Place | None:
    """Return the place in the name of a private Amazon registry, None for any other registry."""
    match = _HOST.fullmatch(registry)
    return Place(match["account"], match["region"]) if match else None


def serves(registry: str) -> bool:
    """Tell whether a registry is one of Amazon's."""
    return registry == PUBLIC or place_of(registry) is not None


def log_in(registry: str) -> Expiring[Credentials]:
    """Return the user and password for a registry of Amazon.

    Raises SettingsInvalid without boto3, AuthenticationRefused, RegistryUnavailable, ResponseInvalid.
    """
    purpose = f"Logging in to {registry}"
    place = place_of(registry)
    service, region = ("ecr", place.region) if place else ("ecr-public", _PUBLIC_REGION)
    with amazon_errors(f"Amazon gives no login for {registry}", purpose):
        answer = amazon_client(service, region, purpose).get_authorization_token()
    return _read(answer, registry)


@contextmanager
def amazon_errors(failed: str, purpose: str) -> Iterator[None]:
    """Raise an error of this project, with `failed` before the reason, for whatever boto3 raises.

    Raises SettingsInvalid without boto3, RegistryUnavailable, AuthenticationRefused.
    """
    exceptions = need("botocore.exceptions", extra="aws", purpose=purpose)
    try:
        yield
    except ImagePusherError:
        raise
    except exceptions.NoCredentialsError:
        raise AuthenticationRefused(f"{failed}: boto3 finds no credentials here.") from None
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        raise RegistryUnavailable(f"{failed}: {clean(str(error))}.") from None
    except exceptions.ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        passes = status >= HTTPStatus.INTERNAL_SERVER_ERROR or "Throttling" in code
        kind = RegistryUnavailable if passes else AuthenticationRefused
        raise kind(f"{failed}: {clean(str(error))}.") from None
    except Exception as error:  # noqa: BLE001 - see below
        # boto3 raises errors of any kind for wrong variables and files of its own.
        raise AuthenticationRefused(f"{failed}: {clean(str(error))}.") from None


def amazon_client(
    service: str, region: str, purpose: str, *, seconds: float = _SECONDS, tries: int | None = None
) -> Any:
    """Return boto3's client of a service, which waits so many seconds for an answer, and tries as often as boto3 does.

    Raises SettingsInvalid if boto3 is not installed.
    """
    boto3 = need("boto3", extra="aws", purpose=purpose)
    config = need("botocore.config", extra="aws", purpose=purpose)
    bounded = config.Config(
        connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": tries} if tries else None
    )
    # A session of its own: boto3's default session is not thread-safe.
    return boto3.session.Session().client(service, region_name=region, config=bounded)


def _read(answer: dict[str, Any], registry: str) -> Expiring[Credentials]:
    try:
        data = answer["authorizationData"]
        # A private registry's answer is a list, for a parameter that asked for several registries.
        only = data[0] if isinstance(data, list) else data
        username, _, password = base64.b64decode(only["authorizationToken"]).decode().partition(":")
        ends = only["expiresAt"]
        seconds = (ends - datetime.now(UTC)).total_seconds()
    except (LookupError, TypeError, ValueError, AttributeError):
        raise ResponseInvalid(f"Amazon answered the login to {registry} without a token.") from None
    return Expiring(Credentials(username, password), seconds)
