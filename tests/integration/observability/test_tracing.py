"""One push is one trace, from its producer to its last tag, over real workers."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.observability.collector import Collector, Span
from tests.integration.observability.conftest import Watched
from tests.support.images import image, index, layer
from tests.support.processes import free_port, wait_until
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.stored import upload
from tests.support.workers import command, environment, running_worker

PUSH, COPY, PUBLISH = (f"imagepusher.{task}.v1" for task in ("push", "copy", "publish"))
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/s390x", "linux/ppc64le")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def put(a: DistributionRegistry, b: DistributionRegistry, name: str) -> dict[str, Any]:
    """Put an image of four platforms into A, and return the request that brings it into two repositories of B."""
    source = index([image(platform, [layer(f"{name}{platform}", 3000)]) for platform in PLATFORMS])
    upload(a.host, f"{name}/src", source, "1")
    destinations = {f"{b.host}/{name}/dst": ["1", "2"], f"{b.host}/{name}/other": ["1"]}
    return {"items": [{"source": f"{a.host}/{name}/src:1", "destinations": destinations}]}


def only(spans: list[Span], name: str) -> Span:
    (found,) = (span for span in spans if span.name == name)
    return found


def spans_of_push(collector: Collector, push_id: str) -> list[Span]:
    """Return all spans of the trace of a push, once its publish task is among them."""

    def published() -> list[Span]:
        return [s for s in collector.spans if s.name == PUBLISH and s.attributes["imagepusher.push_id"] == push_id]

    wait_until(lambda: bool(published()), "no span of the publish task arrived")
    return [span for span in collector.spans if span.trace == published()[0].trace]


def chain(spans: list[Span], span: Span) -> list[str]:
    """Return the names from a span up to the root of its trace."""
    by_id = {each.id: each for each in spans}
    names = [span.name]
    while span.parent in by_id:
        span = by_id[span.parent]
        names.append(span.name)
    return names


def test_a_push_of_four_platforms_is_one_trace_that_its_producer_began(
    watched: Watched, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    request = put(registry_a, registry_b, name)
    report = watched.push(request, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    spans = spans_of_push(watched.collector, report["push_id"])
    assert {span.trace for span in spans} == {TRACE}
    assert {span.service for span in spans} == {"imagepusher"}
    push = only(spans, PUSH)
    assert push.parent == PARENT
    copies = [span for span in spans if span.name == COPY]
    assert len(copies) == 4
    assert {span.parent for span in [*copies, only(spans, PUBLISH)]} == {push.id}
    assert {span.attributes["imagepusher.push_id"] for span in copies} == {report["push_id"]}
    assert len({span.attributes["imagepusher.digest"] for span in copies}) == 4
    # Nothing of the trace hangs in the air.
    assert {span.parent for span in spans} <= {span.id for span in spans} | {PARENT}
    assert not any(span.failed for span in spans)


def test_each_blob_is_a_span_of_its_copy_that_says_how_big_it_is_and_what_was_done(
    watched: Watched, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    report = watched.push(put(registry_a, registry_b, name))
    spans = spans_of_push(watched.collector, report["push_id"])
    blobs = [span for span in spans if span.name == "blob"]
    # A layer and a configuration, for each platform, into each of two repositories.
    assert len(blobs) == 16
    outcomes = Counter(span.attributes["imagepusher.outcome"] for span in blobs)
    totals = report["totals"]
    assert outcomes == Counter({"copied": totals["blobs_copied"], "mounted": totals["blobs_mounted"]})
    copied = [span for span in blobs if span.attributes["imagepusher.outcome"] == "copied"]
    assert sum(int(span.attributes["imagepusher.bytes"]) for span in copied) == totals["bytes_copied"]
    # A copy of four: the blobs are moved by other threads than the task's.
    assert all(chain(spans, span)[-2:] == [COPY, PUSH] for span in blobs)


def test_a_push_that_failed_fails_its_span_and_says_why(
    watched: Watched, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    item = {"source": f"{registry_a.host}/{name}/gone:1", "destinations": {f"{registry_b.host}/{name}": ["1"]}}
    report = watched.push({"items": [item]})
    published = only(spans_of_push(watched.collector, report["push_id"]), PUBLISH)
    assert published.failed
    assert published.attributes["error.type"] == "PushFailed"


def test_log_lines_name_the_trace(
    watched: Watched, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    report = watched.push(put(registry_a, registry_b, name))
    span = spans_of_push(watched.collector, report["push_id"])[0]
    assert {line["trace_id"] for line in watched.log_of(report["push_id"])} == {span.trace}


@pytest.mark.parametrize("with_broker", [True, False], ids=["broker", "embedded"])
def test_the_command_line_begins_the_trace(
    watched: Watched,
    redis: RedisServer,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    name: str,
    tmp_path: Any,
    with_broker: bool,
) -> None:
    settings = {"IMAGEPUSHER_TRACING_ENDPOINT": watched.collector.url, "IMAGEPUSHER_STATE_DIR": str(tmp_path)}
    if with_broker:
        settings["IMAGEPUSHER_BROKER_URL"] = redis.url
    done = subprocess.run(
        command("push", "-", "--output", "json"),
        env=environment(settings),
        input=json.dumps(put(registry_a, registry_b, name)).encode(),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    spans = spans_of_push(watched.collector, json.loads(done.stdout)["push_id"])
    # The command line sends its spans when it ends, the worker when it comes to it.
    wait_until(lambda: len(_of_trace(watched.collector, spans[0].trace, f"create {PUSH}")) == 1, "no root arrived")
    spans = _of_trace(watched.collector, spans[0].trace)
    assert chain(spans, only(spans, PUBLISH)) == [PUBLISH, PUSH, f"create {PUSH}"]
    assert only(spans, f"create {PUSH}").parent is None
    assert len([span for span in spans if span.name == COPY]) == 4


def _of_trace(collector: Collector, trace: str, name: str | None = None) -> list[Span]:
    return [span for span in collector.spans if span.trace == trace and name in {None, span.name}]


def test_a_collector_that_is_away_holds_up_neither_the_push_nor_the_end(
    redis: RedisServer,
    watched: Watched,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    name: str,
) -> None:
    with RedisServer() as own:
        settings = {
            "IMAGEPUSHER_BROKER_URL": own.url,
            "IMAGEPUSHER_TRACING_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        }
        with running_worker(settings) as worker:
            from tests.integration.observability.conftest import producer_of

            alone = Watched(worker, watched.collector, producer_of(own))
            assert alone.push(put(registry_a, registry_b, name))["state"] == "succeeded"
            assert worker.stop() == 0


Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run() -> Run:
    """Run a program in an interpreter of its own."""
    import sys

    def run(program: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", program],
            env=environment({}),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def test_nothing_is_imported_that_is_not_asked_for(run: Run) -> None:
    done = run(
        "import sys\n"
        "from workers.broker.app import make_app\n"
        "from workers.observability.observe import observe_client, observe_worker\n"
        "from workers.settings import load_settings\n"
        "settings = load_settings({'IMAGEPUSHER_BROKER_URL': 'redis://127.0.0.1:1/0'})\n"
        "observe_client(settings.observability)\n"
        "observe_worker(make_app(settings), settings.observability, list)\n"
        "print([name for name in ('opentelemetry', 'prometheus_client', 'structlog') if name in sys.modules])\n"
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_traces_without_the_extra_are_an_error_that_says_what_to_install(run: Run) -> None:
    done = run(
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from workers.observability.observe import observe_client\n"
        "from workers.settings.observability import Observability\n"
        "observe_client(Observability(tracing='http://127.0.0.1:4318/v1/traces'))\n"
    )
    assert "SettingsInvalid: tracing.endpoint is set, and opentelemetry is not installed" in done.stderr
    assert "install the extra `tracing` of this project" in done.stderr
    assert "pip install '.[tracing]'" in done.stderr
