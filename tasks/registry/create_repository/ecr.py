"""Creation of Amazon ECR repositories by boto3 (CreateRepository), which finds the credentials in its own way."""

from typing import Final, Literal

from tasks.errors import RequestRefused, SettingsInvalid
from tasks.registry.auth.logins.ecr import Place, amazon_client, amazon_errors
from tasks.registry.http.refusal import clean
from tasks.registry.vendor_libraries import need

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
    exceptions = need("botocore.exceptions", extra="aws", purpose=_PURPOSE)
    failed = f"Amazon ECR does not make {name} in {place.region}"
    with amazon_errors(failed, _PURPOSE):
        client = amazon_client("ecr", place.region, _PURPOSE)
        try:
            client.create_repository(registryId=place.account, repositoryName=name)
        except exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == _EXISTS:
                return
            if code not in _DENIED:
                raise RequestRefused(
                    f"Amazon ECR does not make {name} in {place.region}: {clean(str(error))}."
                ) from None
            raise
