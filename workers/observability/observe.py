"""Start logs, metrics and traces as the settings say; each part is imported only on demand."""

import os
import socket
from functools import cache, partial
from typing import TYPE_CHECKING

from celery import Celery
from celery.signals import setup_logging

from tasks import telemetry
from tasks.errors import SettingsInvalid
from workers.observability.pushes import log_pushes
from workers.observability.running import Around, log_context, surround_tasks
from workers.settings.observability import Address, Observability

if TYPE_CHECKING:
    from workers.observability.backlog import BacklogSources
    from workers.observability.metrics import Known


def observe_worker(
    app: Celery, settings: Observability, sources: "BacklogSources", known: "Known | None" = None
) -> None:
    """Start the logs, metrics and traces of this worker as the settings say; call this once, before the worker starts.

    `known` are the label values that always have their own series.
    Raises SettingsInvalid if traces are configured and the extra `tracing` is not installed.
    """
    # Celery does not configure logging if this signal has a receiver.
    setup_logging.connect(_ours, weak=False)
    if settings.metrics is not None:
        _serve_metrics(settings.metrics, app, sources, known or {}, settings.label_values)
    around = (log_context,) if settings.tracing is None else (log_context, _trace(settings.tracing))
    surround_tasks(*around)
    log_pushes()


def observe_client(settings: Observability) -> None:
    """Trace the tasks that this process sends and runs, if the settings say so; raises SettingsInvalid."""
    if settings.tracing is not None:
        _trace_client(settings.tracing)


@cache
def _trace_client(endpoint: str) -> None:
    surround_tasks(log_context, _trace(endpoint))


def _ours(**_: object) -> None:
    """Do nothing: logging is already configured."""


def _serve_metrics(address: Address, app: Celery, sources: "BacklogSources", known: "Known", most: int) -> None:
    from workers.observability.backlog import read_backlog  # noqa: PLC0415 - imports the Prometheus client only on demand
    from workers.observability.endpoint import serve_metrics  # noqa: PLC0415 - as above
    from workers.observability.metrics import worker_metrics  # noqa: PLC0415 - as above

    registry, listener = worker_metrics(partial(read_backlog, app, sources), known, most)
    telemetry.listen(listener)
    serve_metrics(address, registry)


def _trace(endpoint: str) -> Around:
    """Start tracing, and return the context manager for running tasks."""
    try:
        from workers.observability import tracing  # noqa: PLC0415 - OpenTelemetry is an extra
    except ModuleNotFoundError as error:
        raise SettingsInvalid(
            f"tracing.endpoint is set, and {error.name} is not installed: install the extra `tracing` of this project,"
            " by pip install '.[tracing]' in its folder or by the path of its wheel."
        ) from None
    provider = tracing.make_provider(endpoint, f"{socket.gethostname()}-{os.getpid()}")
    tracer = provider.get_tracer("imagepusher")
    telemetry.listen(tracing.TracingListener(tracer))
    joining = tracing.TaskTracing(tracer)
    joining.connect()
    return joining.run
