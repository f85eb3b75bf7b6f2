"""Creation of Amazon ECR repositories by boto3 (CreateRepository), which finds the credentials in its own way."""

import re
from typing import Any, Final, Literal, NamedTuple

from tasks.errors import AuthenticationRefused, RegistryUnavailable, RequestRefused, SettingsInvalid
from tasks.registry.extras import need
from tasks.registry.http.refusal import clean

_HOST: Final = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.(?:aws|amazonwebservices\.com\.cn))"
)
_EXISTS: Final = "RepositoryAlreadyExistsException"
_DENIED: Final = frozenset({"AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"})
_SECONDS: Final = 30


class Place(NamedTuple):
    """The account and the region of a registry."""

    account: str
    region: str


def place_of(registry: str) -> Place | None:
    """Return the place in the name of a private Amazon registry, None for any other registry."""
    match = _HOST.fullmatch(registry)
    return Place(match["account"], match["region"]) if match else None


def create(place: Place, name: str, visibility: Literal["private", "public"]) -> None:
    """Make a repository; an existing one is no error.

    Raises SettingsInvalid for a public repository, which a private registry cannot hold, or without boto3;
    AuthenticationRefused, RegistryUnavailable, RequestRefused.
    """
    if visibility == "public":
        raise SettingsInvalid(f"{name}: Amazon ECR has no public repositories beside private ones: set `visibility`.")
    client = ecr_client(place)
    exceptions = need("botocore.exceptions", extra="aws", purpose="Making a repository at Amazon ECR")
    try:
        client.create_repository(registryId=place.account, repositoryName=name)
    except exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code != _EXISTS:
            kind = AuthenticationRefused if code in _DENIED else RequestRefused
            raise kind(f"Amazon ECR does not make {name} in {place.region}: {clean(str(error))}.") from None
    except exceptions.NoCredentialsError:
        raise AuthenticationRefused(f"Amazon ECR does not make {name}: boto3 finds no credentials here.") from None
    except exceptions.BotoCoreError as error:
        raise RegistryUnavailable(f"Amazon ECR could not be asked to make {name}: {clean(str(error))}.") from None


def ecr_client(place: Place) -> Any:
    """Return boto3's client of ECR; raises SettingsInvalid if boto3 is not installed."""
    purpose = "Making a repository at Amazon ECR"
    boto3 = need("boto3", extra="aws", purpose=purpose)
    config = need("botocore.config", extra="aws", purpose=purpose)
    bounded = config.Config(connect_timeout=_SECONDS, read_timeout=_SECONDS)
    return boto3.client("ecr", region_name=place.region, config=bounded)
