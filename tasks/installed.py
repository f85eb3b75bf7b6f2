"""Entry points of the distribution for `tasks`, which does not import the package that implements them."""

from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from tasks import contract
from tasks.errors import SettingsInvalid
from tasks.registry.repository import Registries
from tasks.registry.settings import Credentials, RegistryOverride


class PushClient(Protocol):
    """The part of a client that a push needs."""

    embedded: bool
    drops_passwords: bool

    def send(self, request: dict[str, Any], push_id: str) -> None:
        """Enqueue a push."""
        ...

    def wait(self, push_id: str) -> contract.PushReport:
        """Wait for the end of a push and return its report; raises ImagePusherError if there is no report."""
        ...


def open_client(source: Credentials | None, destination: Credentials | None) -> AbstractContextManager[PushClient]:
    """Open the client that the settings name; raises SettingsInvalid."""
    return cast("AbstractContextManager[PushClient]", _open("default", source, destination))


def open_registries(source: Credentials | None, destination: Credentials | None) -> AbstractContextManager[Registries]:
    """Open the registries that the settings describe; raises SettingsInvalid."""
    return cast("AbstractContextManager[Registries]", _open("registries", source, destination))


def _open(name: str, source: Credentials | None, destination: Credentials | None) -> Any:
    found = entry_points(group="imagepusher.client", name=name)
    if not found:
        # No name to install it by: whoever owned that name on an index would be trusted with the rest.
        raise SettingsInvalid(
            "imagepusher is not installed in this environment, though its code is found: install it by `pip install .`"
            " in the project's folder, or by the path of its wheel."
        )
    return next(iter(found)).load()(
        source=RegistryOverride(credentials=source), destination=RegistryOverride(credentials=destination)
    )
