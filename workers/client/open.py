"""Open the way to Celery that the settings name: a broker's workers, or one embedded in this process."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tasks.registry.settings import RegistryOverride
from workers.client.client import CeleryClient, Client
from workers.observability import observe_client
from workers.settings import Settings, load_settings


@contextmanager
def open_client(
    settings: Settings | None = None,
    *,
    source: RegistryOverride | None = None,
    destination: RegistryOverride | None = None,
    auth_files: tuple[str, ...] = (),
    jobs: int | None = None,
    unanswered: Callable[[], None] = lambda: None,
) -> Iterator[Client]:
    """Open the way to Celery that the settings name: a broker's, or an embedded one where none is.

    What is said of registries here is for the embedded mode: with a broker, the workers' own settings count, and
    `unanswered` is called where none of them takes a question for some seconds.
    """
    # Each mode loads only what it needs: this process may be a command that a person waits for.
    settings = settings or load_settings(os.environ)
    observe_client(settings.observability)
    if settings.broker_url is not None:
        from workers.client.broker import broker_client  # noqa: PLC0415

        with broker_client(settings, unanswered) as client:
            yield client
        return
    from workers.process.embedded import embedded_worker  # noqa: PLC0415

    registries = replace(
        settings.registries,
        source_override=source or RegistryOverride(),
        destination_override=destination or RegistryOverride(),
        auth_files=auth_files or settings.registries.auth_files,
    )
    chosen = replace(settings, jobs=jobs or settings.jobs)
    with embedded_worker(chosen, registries, chosen.jobs) as (app, runtime):
        yield CeleryClient(app, runtime.ledger, embedded=True)
