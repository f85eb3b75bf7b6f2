"""Credentials for a registry from the settings, an authentication file or a helper (BEHAVIOUR 8.2)."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tasks.errors import SettingsInvalid
from tasks.registry.auth.auth_files import AuthFiles, default_paths
from tasks.registry.auth.auth_format import DOCKER_HUB, AuthFile, UnreadableEntry, normalise_key
from tasks.registry.auth.credential_helpers import CredentialHelpers, HelperFailed
from tasks.registry.settings import Credentials, RegistryConfiguration, Role

# The key of `docker login` for Docker Hub, and so the server name that its helpers know.
_DOCKER_HUB_SERVER: Final = "https://index.docker.io/v1/"

_logger = logging.getLogger(__name__)


class CredentialStore:
    """The credentials of a process, by registry, repository and role. Thread-safe.

    The settings count first; empty credentials there mean anonymous, whatever the files say. Each file follows in
    turn: the helper named for the registry or a part of it, the entry with the longest name, the helper for all
    registries. The files are those of the configuration, or else those of podman, skopeo and docker.
    """

    def __init__(
        self,
        configuration: RegistryConfiguration,
        *,
        environment: Mapping[str, str] = os.environ,
        helpers: CredentialHelpers | None = None,
    ) -> None:
        self._configuration = configuration
        self._explicit = bool(configuration.auth_files)
        self._paths = tuple(map(Path, configuration.auth_files)) or default_paths(environment)
        self._files = AuthFiles()
        self._helpers = helpers or CredentialHelpers(environment, secret_variables=configuration.secret_variables)
        self._warned: set[str] = set()

    def find(self, registry: str, repository: str, role: Role) -> Credentials | None:
        """Return the credentials, None for anonymous; `repository` may be empty.

        Raises SettingsInvalid, which names the file but not its content, for a missing or broken file of the
        configuration, an unreadable entry for this registry, and a failing helper that a file names for this registry.
        A broken file in a default place is skipped with a warning, as is a failing helper for all registries there:
        neither was meant for this program. Unreadable entries for other registries cause a warning.
        """
        said = self._configuration.settings(registry, role).credentials
        if said is not None:
            return None if said == Credentials() else said
        for path, file in self._existing_files():
            found = self._find_in(path, file, registry, repository)
            if found is not None:
                return found
        return None

    def _existing_files(self) -> Iterator[tuple[Path, AuthFile]]:
        for path in self._paths:
            try:
                file = self._files.read(path)
            except FileNotFoundError:
                if self._explicit:
                    raise SettingsInvalid(f"The authentication file {path} does not exist.") from None
                continue
            except SettingsInvalid as error:
                if self._explicit:
                    raise
                self._warn_once(f"{error.message} It is skipped.")
                continue
            if faults := file.faults():
                told = f"The authentication file {path} has entries that cannot be read"
                self._warn_once(f"{told}: {', '.join(faults)}. They are skipped.")
            yield path, file

    def _find_in(self, path: Path, file: AuthFile, registry: str, repository: str) -> Credentials | None:
        try:
            named = file.helper(registry, repository)
            if named and named[1] and (found := self._ask_for(path, file, *named)) is not None:
                return found
            found = file.find(registry, repository)
            if found is not None or named is not None:
                return found
            store = file.default_helper()
        except UnreadableEntry as error:
            raise SettingsInvalid(
                f"The entry {error} of the authentication file {path} cannot be read: log in again, or remove it."
            ) from None
        return self._ask_store(path, file, store, registry) if store else None

    def _ask_for(self, path: Path, file: AuthFile, name: str, helper: str) -> Credentials | None:
        try:
            return self._ask(file, helper, name)
        except HelperFailed as error:
            raise SettingsInvalid(f"The credential helper that {path} names for {name} failed: {error}.") from None

    def _ask_store(self, path: Path, file: AuthFile, helper: str, registry: str) -> Credentials | None:
        try:
            return self._ask(file, helper, normalise_key(registry))
        except HelperFailed as error:
            fault = f"The credential helper that {path} names failed: {error}."
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
