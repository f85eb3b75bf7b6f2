"""The HTTP endpoint for metrics, scraped by Prometheus."""

import errno
import logging
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import MetricsHandler

from workers.settings.observability import Address

LOG: Final = logging.getLogger(__name__)


class MetricsServer(ThreadingHTTPServer):
    """An HTTP server of a metrics registry, in its own threads; raises OSError if it cannot listen."""

    # With reuse, two workers could share a port, and each scrape would reach one of them by chance.
    allow_reuse_port = False

    def __init__(self, address: Address, registry: CollectorRegistry) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        super().__init__((address.host, address.port), _handler(registry))
        self.address = Address(address.host, self.server_address[1])
        threading.Thread(target=self.serve_forever, name="metrics", daemon=True).start()

    def server_bind(self) -> None:
        """Bind only: the superclass also looks up the name of this host, which may take long."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver calls it
        LOG.debug("A scrape from %s ended early: %r", client_address, sys.exception())


def serve_metrics(address: Address, registry: CollectorRegistry) -> MetricsServer | None:
    """Serve metrics, or log why it is not possible: the worker runs without them."""
    try:
        server = MetricsServer(address, registry)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        advice = (
            "give each worker of this machine an address of its own, or port 0" if taken else "check metrics.address"
        )
        LOG.error("Metrics are not served at %s: %s; %s", address, error.strerror or error, advice)  # noqa: TRY400 - said in full
        return None
    LOG.info("Metrics are served at http://%s/metrics", server.address)
    return server


def _handler(registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    # The connection of a silent client is closed.
    return type("Handler", (MetricsHandler,), {"registry": registry, "timeout": 5})
