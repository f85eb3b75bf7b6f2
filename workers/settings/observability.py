"""The settings of logs, metrics and traces."""

from typing import Final
from urllib.parse import urlsplit

import msgspec

from workers.settings.document import LABEL_VALUES, LogFormat, LogsTable, MetricsTable, TracingTable

_MOST_DIGITS: Final = 5
_HIGHEST_PORT: Final = 65535


class Address(msgspec.Struct, frozen=True):
    """The address of a server: no host means all interfaces, port 0 means a free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Observability(msgspec.Struct, frozen=True):
    """The address of `metrics`, and the URL for spans in `tracing` (OTLP over HTTP); None turns each off.

    A label has at most `label_values` values that no setting names.
    """

    log_format: LogFormat = "auto"
    metrics: Address | None = None
    tracing: str | None = None
    label_values: int = LABEL_VALUES


def read_observability(
    logs: LogsTable, metrics: MetricsTable, tracing: TracingTable, faults: list[str]
) -> Observability:
    """Return the settings of these tables."""
    return Observability(
        logs.format,
        read_address("metrics.address", metrics.address, faults),
        _endpoint("tracing.endpoint", tracing.endpoint, faults),
        metrics.label_values,
    )


def read_address(place: str, text: str, faults: list[str]) -> Address | None:
    """Return the address of a server; None if the text is empty, or malformed, which is a fault."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdecimal() and len(port) <= _MOST_DIGITS and int(port) <= _HIGHEST_PORT
    if not colon or not is_port or (":" in bare and bare == host):
        faults.append(f"{place}: {text!r} is not an address such as 127.0.0.1:9540, [::1]:9540 or :9540")
        return None
    return Address(bare, int(port))


def _endpoint(place: str, text: str, faults: list[str]) -> str | None:
    """Return the URL for spans, built from a base URL (OpenTelemetry protocol exporter specification)."""
    if not text:
        return None
    if "@" in text:
        faults.append(f"{place}: a URL carries no credentials; OTEL_EXPORTER_OTLP_HEADERS holds the headers to send")
        return None
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        known = False
    if not known:
        faults.append(f"{place}: {text!r} is not a URL such as http://127.0.0.1:4318")
        return None
    base = text.rstrip("/")
    return base if base.endswith("/v1/traces") else f"{base}/v1/traces"
