"""Access to the registries of the settings, for a program that reads or writes manifests itself."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from msgspec.structs import replace

from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryOverride
from workers.settings import load_settings


@contextmanager
def open_registries(*, source: RegistryOverride, destination: RegistryOverride) -> Iterator[Registries]:
    """Yield the registries, with these credentials instead of those of the settings; raises SettingsInvalid."""
    configuration = replace(
        load_settings(os.environ).registries, source_override=source, destination_override=destination
    )
    with closing(Registries(configuration)) as registries:
        yield registries
