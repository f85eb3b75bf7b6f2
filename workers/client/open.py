"""Open a client for the settings: of a broker's workers, or of a worker embedded in this process."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from tasks.registry.settings import RegistryConfiguration, RegistryOverride
from workers.client.interface import Client
from workers.settings import Settings, load_settings


@contextmanager
def open_client(
    settings: Settings | None = None,
    *,
    source: RegistryOverride | None = None,
    destination: RegistryOverride | None = None,
    auth_files: tuple[str, ...] = (),
    jobs: int | None = None,
    remembers: bool = True,
    unanswered: Callable[[], None] = lambda: None,
) -> Iterator[Client]:
    """Yield a client of the broker's workers, or of an embedded worker if the settings name no broker.

    The arguments on registries, `jobs` and `remembers` apply to the embedded mode. With a broker, the workers' own
    settings count, and `unanswered` is called if no worker takes a question for some seconds.
    """
    # Each mode imports only its own modules: a person may be waiting for this command.
    settings = settings or load_settings(os.environ)
    if settings.observability.tracing is not None:
        from workers.observability.observe import observe_client  # noqa: PLC0415

        observe_client(settings.observability)
    if settings.broker_url is not None:
        from workers.client.broker import broker_client  # noqa: PLC0415

        with broker_client(settings, unanswered) as client:
            yield client
        return
    from workers.client.embedded import embedded_client  # noqa: PLC0415

    registries = overridden(settings.registries, source, destination, auth_files)
    with embedded_client(replace(settings, jobs=jobs or settings.jobs), registries, remembers=remembers) as client:
        yield client


def overridden(
    configuration: RegistryConfiguration,
    source: RegistryOverride | None,
    destination: RegistryOverride | None,
    auth_files: tuple[str, ...],
) -> RegistryConfiguration:
    """Return the registry settings with the overrides of one command."""
    return replace(
        configuration,
        source_override=source or RegistryOverride(),
        destination_override=destination or RegistryOverride(),
        auth_files=auth_files or configuration.auth_files,
    )
