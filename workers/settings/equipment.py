"""The names of the settings of each registry, without values, for a worker's entry in the roster. Pure."""

from collections.abc import Mapping
from typing import Final

from tasks.registry.settings import RegistryConfiguration, RegistrySettings

Equipment = Mapping[str, list[str]]

_NAMED: Final = ("ca_file", "certificates", "client_certificate", "plain_http")


def equipment_of(configuration: RegistryConfiguration) -> Equipment:
    """Return the names of the access settings of each configured registry."""
    return {host: _names(settings) for host, settings in configuration.registries.items()}


def _names(settings: RegistrySettings) -> list[str]:
    names = [name for name in _NAMED if getattr(settings, name)]
    names += [] if settings.tls_verify else ["tls_verify = false"]
    if settings.credentials or (settings.source_credentials and settings.destination_credentials):
        return [*names, "credentials of the source", "credentials of the destination"]
    names += ["credentials of the source"] if settings.source_credentials else []
    names += ["credentials of the destination"] if settings.destination_credentials else []
    return names
