"""Observability of a process: logs, metrics, traces."""

from workers.observability.logs import configure_logging
from workers.observability.observe import observe_client, observe_worker

__all__ = ["configure_logging", "observe_client", "observe_worker"]
