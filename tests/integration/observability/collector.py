"""An OpenTelemetry collector in this process: takes spans by OTLP over HTTP and keeps them."""

from dataclasses import dataclass, field
from typing import ClassVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.loopback import Handler, LoopbackServer


@dataclass(frozen=True)
class Span:
    """One span as it arrived; `parent` is None for the root of a trace."""

    name: str
    trace: str
    id: str
    parent: str | None
    attributes: dict[str, str] = field(default_factory=dict)
    failed: bool = False
    service: str = ""


class _Handler(Handler):
    owner: ClassVar["Collector"]

    def do_POST(self) -> None:  # noqa: N802 - http.server calls it so
        body = b"".join(self.body_pieces())
        self.owner.take(self.path, body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()


class Collector(LoopbackServer):
    """Keep every span that is sent here."""

    handler = _Handler

    def __init__(self) -> None:
        super().__init__()
        self._spans: list[Span] = []

    @property
    def spans(self) -> list[Span]:
        """Return what arrived so far."""
        return list(self._spans)

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces", path
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self._spans.extend(
                    Span(
                        name=span.name,
                        trace=span.trace_id.hex(),
                        id=span.span_id.hex(),
                        parent=span.parent_span_id.hex() or None,
                        attributes={
                            each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes
                        },
                        failed=span.status.code == Status.STATUS_CODE_ERROR,
                        service=named["service.name"],
                    )
                    for span in scope.spans
                )
