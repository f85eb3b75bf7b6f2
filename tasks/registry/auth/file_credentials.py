"""Credentials of authentication files and of the helpers that they name (BEHAVIOUR 8.2)."""

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from tasks.errors import SettingsInvalid
from tasks.registry.auth.auth_files import VARIABLE, AuthFiles, default_paths
from tasks.registry.auth.auth_format import DOCKER_HUB, AuthFile, UnreadableEntry, normalise_key
from tasks.registry.auth.credential_helpers import CredentialHelpers, HelperFailed
from tasks.registry.settings import Credentials, RegistryConfiguration

# The key of `docker login` for Docker Hub, and so the server name that its helpers know.
_DOCKER_HUB_SERVER: Final = "https://index.docker.io/v1/"

_logger = logging.getLogger(__name__)


class FileCredentials:
    """The credentials in files, by registry and repository. Thread-safe.

    Each file follows in turn: the helper named for the registry or a part of it, the entry with the longest name, the
    helper for all registries. The files are those of the configuration, or else the content of DOCKER_AUTH_CONFIG, as
    for docker and the runners of GitLab, and those of podman, skopeo and docker.
    """

    def __init__(
        self, configuration: RegistryConfiguration, environment: Mapping[str, str], helpers: CredentialHelpers | None
    ) -> None:
        self._explicit = bool(configuration.auth_files)
        self._paths = tuple(map(Path, configuration.auth_files)) or default_paths(environment)
        self._files = AuthFiles()
        self._variable = "" if self._explicit else environment.get(VARIABLE, "")
        self._helpers = helpers or CredentialHelpers(environment, secret_variables=configuration.secret_variables)
        self._warned: set[str] = set()

    def find(self, registry: str, repository: str) -> Credentials | None:
        """Return the credentials, None if no file has any; raises SettingsInvalid as `CredentialStore.find` does."""
        for place, file in self._existing_files():
            found = self._find_in(place, file, registry, repository)
            if found is not None:
                return found
        return None

    def _existing_files(self) -> Iterator[tuple[str, AuthFile]]:
        """Yield each file with its name for messages."""
        if self._variable:
            yield from self._readable(f"The variable {VARIABLE}", lambda: self._files.read_text(self._variable))
        for path in self._paths:
            yield from self._readable(f"The authentication file {path}", partial(self._files.read, path))

    def _readable(self, place: str, read: Callable[[], AuthFile]) -> Iterator[tuple[str, AuthFile]]:
        try:
            file = read()
        except FileNotFoundError:
            if self._explicit:
                raise SettingsInvalid(f"{place} does not exist.") from None
            return
        except SettingsInvalid as error:
            if self._explicit:
                raise
            self._warn_once(f"{error.message} It is skipped.")
            return
        if faults := file.faults():
            self._warn_once(f"{place} has entries that cannot be read: {', '.join(faults)}. They are skipped.")
        yield place, file

    def _find_in(self, place: str, file: AuthFile, registry: str, repository: str) -> Credentials | None:
        try:
            named = file.helper(registry, repository)
            if named and named[1] and (found := self._ask_for(place, file, *named)) is not None:
                return found
            found = file.find(registry, repository)
            if found is not None or named is not None:
                return found
            store = file.default_helper()
        except UnreadableEntry as error:
            raise SettingsInvalid(
                f"{place} has an entry for {error} that cannot be read: log in again, or remove it."
            ) from None
        return self._ask_store(place, file, store, registry) if store else None

    def _ask_for(self, place: str, file: AuthFile, name: str, helper: str) -> Credentials | None:
        try:
            return self._ask(file, helper, name)
        except HelperFailed as error:
            raise SettingsInvalid(f"{place} names a credential helper for {name}, which failed: {error}.") from None

    def _ask_store(self, place: str, file: AuthFile, helper: str, registry: str) -> Credentials | None:
        try:
            return self._ask(file, helper, normalise_key(registry))
        except HelperFailed as error:
            fault = f"{place} names a credential helper, which failed: {error}."
            if self._explicit:
                raise SettingsInvalid(fault) from None
            self._warn_once(f"{fault} It is skipped.")
            return None

    def _ask(self, file: AuthFile, helper: str, name: str) -> Credentials | None:
        """Ask a helper for a registry by each name it may know: the normal name, and the keys as written."""
        usual = (_DOCKER_HUB_SERVER, name) if name == DOCKER_HUB else (name,)
        for server in dict.fromkeys((*usual, *file.servers.get(name, ()))):
            found = self._helpers.find(helper, server)
            if found is not None:
                return found
        return None

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _logger.warning("%s", message)
