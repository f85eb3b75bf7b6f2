"""OpenTelemetry traces: one push is one trace, from its producer to its last tag.

The header `traceparent` of Celery's messages carries the context (W3C Trace Context, level 1). This module is imported
only if traces are on: OpenTelemetry is an extra.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Final

from celery import current_task
from celery.signals import before_task_publish, task_failure, task_retry
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tasks import contract, telemetry
from workers.observability.masking import mask

_HEADER: Final = "traceparent"
_PROPAGATOR: Final = TraceContextTextMapPropagator()
# At its end, a process waits this long for a collector that does not answer: the remaining spans fit one batch.
_EXPORT_SECONDS: Final = 3.0
_MOST_SPANS: Final = 2048


def make_provider(endpoint: str, instance: str) -> TracerProvider:
    """Return a provider that sends spans to `endpoint` in batches; the SDK's OTEL_* variables take precedence."""
    described = Resource.create(
        {"service.name": "imagepusher", "service.version": version("imagepusher"), "service.instance.id": instance}
    )
    provider = TracerProvider(resource=described.merge(OTELResourceDetector().detect()))
    exporter = OTLPSpanExporter(endpoint, timeout=_EXPORT_SECONDS)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=_MOST_SPANS, max_export_batch_size=_MOST_SPANS)
    )
    return provider


class TracingListener:
    """A listener that makes spans of the code's reports."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def count(self, name: str, amount: float, labels: Mapping[str, str]) -> None:
        """Count nothing."""

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None:
        """Observe nothing."""

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, Any]) -> Iterator["_Span"]:
        described = {_attribute(key): _value(value) for key, value in attributes.items()}
        with self._tracer.start_as_current_span(
            name, attributes=described, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield _Span(span)
            except BaseException as error:
                _fail(span, error)
                raise


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, name: str, value: str | float) -> None:
        self._span.set_attribute(_attribute(name), value)


class TaskTracing:
    """The tracing of tasks, joined into the trace of their push."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def connect(self) -> None:
        """Trace all tasks that this process sends; for the tasks that it runs, enter `run` around each."""
        before_task_publish.connect(self._send, weak=False)
        task_failure.connect(self._failed, weak=False)
        task_retry.connect(self._retried, weak=False)

    @contextmanager
    def run(self, task: Any) -> Iterator[None]:
        """Make the task a span of the trace in its message, and add the trace to its log lines."""
        request = task.request
        with (
            self._tracer.start_as_current_span(
                task.name,
                context=_carried(request),
                kind=SpanKind.CONSUMER,
                attributes={
                    "messaging.system": "celery",
                    "messaging.message.id": request.id,
                    "celery.retries": request.retries,
                }
                | {_attribute(name): value for name, value in telemetry.bound().items()},
            ) as span,
            telemetry.context(trace_id=trace.format_trace_id(span.get_span_context().trace_id)),
        ):
            yield

    def _send(self, sender: str, headers: MutableMapping[str, Any], **_: Any) -> None:
        # A task that is sent again already has its header, and keeps its place in the trace.
        if _HEADER in headers:
            return
        running: Any = current_task
        if not running:
            with self._tracer.start_as_current_span(f"create {sender}", kind=SpanKind.PRODUCER):
                _PROPAGATOR.inject(headers)
        elif (running.name, sender) == (contract.COPY_TASK, contract.PUBLISH_TASK):
            # The copy that ends last sends the callback, but the callback belongs to the push.
            _PROPAGATOR.inject(headers, _carried(running.request))
        else:
            _PROPAGATOR.inject(headers)

    def _failed(self, exception: BaseException, **_: Any) -> None:
        _fail(trace.get_current_span(), exception)

    def _retried(self, reason: object, **_: Any) -> None:
        trace.get_current_span().set_attribute("celery.retried", mask(str(reason)))


def _carried(request: Any) -> Context:
    """Return the trace context of a message; an empty context begins a new trace."""
    return _PROPAGATOR.extract(request.headers or {}, Context())


def _fail(span: trace.Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR, mask(str(error))))


def _attribute(name: str) -> str:
    return f"imagepusher.{name}"


def _value(value: Any) -> str | bool | int | float:
    return value if isinstance(value, str | bool | int | float) else str(value)
