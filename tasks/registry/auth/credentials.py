"""Credentials for a registry from the settings, an authentication file or a helper (BEHAVIOUR 8.2)."""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasks.registry.settings import Credentials, RegistryConfiguration, Role

if TYPE_CHECKING:
    from tasks.registry.auth.credential_helpers import CredentialHelpers
    from tasks.registry.auth.file_credentials import FileCredentials


class CredentialStore:
    """The credentials of a process, by registry, repository and role. Thread-safe.

    The settings count first; empty credentials there mean anonymous, whatever the files say.
    """

    def __init__(
        self,
        configuration: RegistryConfiguration,
        *,
        environment: Mapping[str, str] = os.environ,
        helpers: "CredentialHelpers | None" = None,
    ) -> None:
        self._configuration = configuration
        self._environment = environment
        self._helpers = helpers
        self._guard = threading.Lock()
        self._in_files: FileCredentials | None = None

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
        return self._files().find(registry, repository)

    def _files(self) -> "FileCredentials":
        # An open registry asks for no credentials.
        from tasks.registry.auth.file_credentials import FileCredentials  # noqa: PLC0415

        with self._guard:
            if self._in_files is None:
                self._in_files = FileCredentials(self._configuration, self._environment, self._helpers)
            return self._in_files
