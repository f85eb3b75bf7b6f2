"""Creation of a repository by the API of its product: distribution-spec 1.1 has no request for it."""

from typing import Literal

from tasks.errors import RepositoryMissing
from tasks.registry.auth.logins.ecr import place_of
from tasks.registry.create_repository import ecr, quay
from tasks.registry.transport import Transport

Visibility = Literal["private", "public"]


def create(transport: Transport, name: str, visibility: Visibility) -> None:
    """Make a repository; an existing one is no error, and stays as it is.

    A registry with an API token is Quay; a registry with Amazon's form of name is ECR. Raises RepositoryMissing for any
    other registry, RegistryError, and SettingsInvalid if a library is not installed.
    """
    if transport.settings.api_token:
        quay.create(transport, name, visibility)
    elif (place := place_of(transport.registry)) is not None:
        ecr.create(place, name, visibility)
    else:
        raise RepositoryMissing(
            f"{transport.registry}/{name} does not exist, and no API is known by which to make it: Quay needs"
            f" `api_token_file` in the settings of {transport.registry}."
        )
