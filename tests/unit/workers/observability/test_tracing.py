"""How spans come to be, and how the context of a trace travels with messages."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from tasks import contract, telemetry
from workers.observability import tracing
from workers.observability.tracing import TaskTracing, TracingListener

TRACE = 0x0AF7651916CD43DD8448EB211C80319C
PARENT = 0xB7AD6B7169203331
HEADER = f"00-{TRACE:032x}-{PARENT:016x}-01"


@pytest.fixture
def finished() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(finished: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(finished))
    return provider.get_tracer("tests")


@pytest.fixture
def listening(tracer: Tracer) -> Iterator[None]:
    listener = TracingListener(tracer)
    telemetry.listen(listener)
    yield
    telemetry.stop_listening(listener)


@pytest.fixture
def joining(tracer: Tracer) -> TaskTracing:
    return TaskTracing(tracer)


def task(name: str, headers: dict[str, str] | None) -> Any:
    return SimpleNamespace(name=name, request=SimpleNamespace(id="task", retries=0, headers=headers))


def only(finished: InMemorySpanExporter) -> ReadableSpan:
    (span,) = finished.get_finished_spans()
    return span


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


@pytest.mark.usefixtures("listening")
def test_a_block_is_a_span_inside_of_the_one_around_it(finished: InMemorySpanExporter) -> None:
    with telemetry.span("copy", digest="sha256:ab"), telemetry.span("blob", bytes=5, where=None) as blob:
        blob.set("outcome", "mounted")
    inner, outer = finished.get_finished_spans()
    assert inner.attributes == {
        "imagepusher.bytes": 5,
        "imagepusher.where": "None",
        "imagepusher.outcome": "mounted",
    }
    assert outer.attributes == {"imagepusher.digest": "sha256:ab"}
    assert outer.context
    assert parent(inner) == outer.context.span_id


@pytest.mark.usefixtures("listening")
def test_a_block_that_raises_fails_its_span_without_a_secret(finished: InMemorySpanExporter) -> None:
    """Rule 6.7."""
    with pytest.raises(ValueError, match="Gehe1m"), telemetry.span("blob"):
        raise ValueError("no answer from https://me:Gehe1m@host/")
    span = only(finished)
    assert (span.status.status_code, span.status.description) == (
        StatusCode.ERROR,
        "no answer from https://***@host/",
    )
    assert not span.events


def test_a_task_continues_the_trace_of_its_message(joining: TaskTracing, finished: InMemorySpanExporter) -> None:
    with telemetry.context(push_id="one"), joining.run(task(contract.PUSH_TASK, {"traceparent": HEADER})):
        assert telemetry.bound()["trace_id"] == f"{TRACE:032x}"
    span = only(finished)
    assert span.context
    assert (span.context.trace_id, parent(span), span.kind) == (TRACE, PARENT, SpanKind.CONSUMER)
    assert span.attributes
    assert span.attributes["imagepusher.push_id"] == "one"


@pytest.mark.parametrize("headers", [None, {}, {"traceparent": "nonsense"}])
def test_without_a_context_a_task_begins_a_trace_even_where_another_is_current(
    joining: TaskTracing, tracer: Tracer, finished: InMemorySpanExporter, headers: dict[str, str] | None
) -> None:
    with tracer.start_as_current_span("somebody else's"), joining.run(task(contract.PUSH_TASK, headers)):
        pass
    assert parent(finished.get_finished_spans()[0]) is None


def test_a_producer_is_the_root_of_what_it_sends(joining: TaskTracing, finished: InMemorySpanExporter) -> None:
    headers: dict[str, Any] = {}
    joining._send(contract.PUSH_TASK, headers)
    span = only(finished)
    assert span.context
    assert (span.name, span.kind, span.parent) == ("create imagepusher.push.v1", SpanKind.PRODUCER, None)
    assert headers["traceparent"].startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")


def test_a_context_that_is_there_stays(joining: TaskTracing, finished: InMemorySpanExporter) -> None:
    """It is that of a producer who traces too, or of a task that is sent again."""
    headers: dict[str, Any] = {"traceparent": HEADER}
    joining._send(contract.COPY_TASK, headers)
    assert headers == {"traceparent": HEADER}
    assert not finished.get_finished_spans()


@pytest.mark.parametrize(
    ("running", "sent", "sibling"),
    [
        (contract.PUSH_TASK, contract.COPY_TASK, False),
        (contract.PUSH_TASK, contract.PUBLISH_TASK, False),
        (contract.COPY_TASK, contract.PUBLISH_TASK, True),
        (contract.PUBLISH_TASK, "somebody.elses", False),
    ],
)
def test_what_a_task_sends_is_its_child_but_for_the_callback_of_the_push(
    joining: TaskTracing, monkeypatch: pytest.MonkeyPatch, running: str, sent: str, sibling: bool
) -> None:
    current = task(running, {"traceparent": HEADER})
    monkeypatch.setattr(tracing, "current_task", current)
    headers: dict[str, Any] = {}
    with joining.run(current):
        own = trace.get_current_span().get_span_context().span_id
        joining._send(sent, headers)
    assert headers["traceparent"].startswith(f"00-{TRACE:032x}-{PARENT if sibling else own:016x}-")


def test_what_a_task_raises_fails_its_span(joining: TaskTracing, finished: InMemorySpanExporter) -> None:
    """Celery keeps the exception to itself, and tells of it by a signal."""
    with joining.run(task(contract.PUBLISH_TASK, {})):
        joining._failed(ValueError("redis://:Gehe1m@host/0 is away"))
    span = only(finished)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "redis://***@host/0 is away")
    assert span.attributes
    assert span.attributes["error.type"] == "ValueError"
