"""The clients of all registries of a process."""

import threading
from collections.abc import Iterable

from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.budget import Budgets, UnboundedBudgets
from tasks.registry.repository.repository import Repository
from tasks.registry.settings import RegistryConfiguration, Role
from tasks.registry.transport import Transport
from tasks.registry.upload_forms import LocalUploadForms, UploadForms


class Registries:
    """The registry clients of a process. Thread-safe."""

    def __init__(
        self, configuration: RegistryConfiguration, budgets: Budgets | None = None, forms: UploadForms | None = None
    ) -> None:
        self._configuration = configuration
        self._budgets = budgets or UnboundedBudgets()
        self._forms = forms or LocalUploadForms()
        self._store = CredentialStore(configuration)
        self._guard = threading.Lock()
        self._transports: dict[tuple[str, Role], Transport] = {}

    def repository(self, registry: str, name: str, role: Role, *, push: bool = False) -> Repository:
        """Return the client of one repository; with `push`, reads may use a scope beyond `pull` (BEHAVIOUR 3.4)."""
        with self._guard:
            transport = self._transports.get((registry, role))
            if transport is None:
                transport = Transport(registry, role, self._configuration, self._store, self._budgets, self._forms)
                self._transports[registry, role] = transport
        return Repository(transport, registry, name, push=push)

    def check_hosts(self, role: Role, registries: Iterable[str]) -> None:
        """Raise RequestInvalid if credentials for one registry would go to several."""
        self._configuration.check_hosts(role, registries)

    def close(self) -> None:
        """Close the idle connections of all threads to all registries; later requests open new ones."""
        with self._guard:
            transports = list(self._transports.values())
        for transport in transports:
            transport.close()
