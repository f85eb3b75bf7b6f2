"""Creation of Amazon ECR repositories by boto3 (CreateRepository), which finds the credentials in its own way."""

from typing import Final, Literal

from tasks.errors import AuthenticationRefused, RegistryUnavailable, RequestRefused, SettingsInvalid
from tasks.registry.auth.logins.ecr import Place, amazon_client
from tasks.registry.extras import need
from tasks.registry.http.refusal import clean

_EXISTS: Final = "RepositoryAlreadyExistsException"
_DENIED: Final = frozenset({"AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"})
_PURPOSE: Final = "Making a repository at Amazon ECR"


def create(place: Place, name: str, visibility: Literal["private", "public"]) -> None:
    """Make a repository; an existing one is no error.

    Raises SettingsInvalid for a public repository, which a private registry cannot hold, or without boto3;
    AuthenticationRefused, RegistryUnavailable, RequestRefused.
    """
    if visibility == "public":
        raise SettingsInvalid(f"{name}: Amazon ECR has no public repositories beside private ones: set `visibility`.")
    client = amazon_client("ecr", place.region, _PURPOSE)
    exceptions = need("botocore.exceptions", extra="aws", purpose=_PURPOSE)
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
