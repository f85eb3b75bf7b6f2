"""Pushes over a real broker with real worker processes, sent as any producer sends them."""

import base64
import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from celery import Celery, chord

from tasks.copy import copy
from tasks.publish import publish
from tests.support import images
from tests.support.images import image, index
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import Worker, command, environment, running_worker
from workers.broker.app import make_app
from workers.settings import load_settings


@pytest.fixture(scope="module")
def settings(redis_server: RedisServer) -> dict[str, str]:
    return {"IMAGEPUSHER_BROKER_URL": redis_server.url}


@pytest.fixture(scope="module")
def workers(settings: dict[str, str]) -> Iterator[list[Worker]]:
    with ExitStack() as running:
        yield [running.enter_context(running_worker(settings, ["--concurrency", "4"])) for _ in range(2)]


@pytest.fixture
def producer(redis_server: RedisServer) -> Celery:
    """Return an application that has never heard of the project: it knows a task's name and its queue."""
    app = Celery("somebody", broker=redis_server.url, backend=redis_server.url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": "imagepusher:"}
    app.conf.result_backend_transport_options = {"global_keyprefix": "imagepusher:"}
    return app


def request_for(a: DistributionRegistry, b: DistributionRegistry, name: str) -> tuple[dict[str, Any], images.Index]:
    source = index([image("linux/amd64"), image("linux/arm64")])
    upload(a.host, f"{name}/src", source, "1")
    upload(b.host, f"{name}/dst", index([image("linux/s390x")]), "merged")
    item = {
        "source": f"{a.host}/{name}/src:1",
        "destinations": {f"{b.host}/{name}/dst": ["merged", "new"], f"{b.host}/{name}/other": ["1"]},
    }
    return {"items": [item]}, source


def test_a_producer_enqueues_by_name_and_reads_the_report(
    workers: list[Worker],
    producer: Celery,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    name: str,
) -> None:
    request, source = request_for(registry_a, registry_b, name)
    result = producer.send_task("imagepusher.push.v1", args=[request], queue="imagepusher.push")
    report = result.get(timeout=300)
    assert (report["push_id"], report["state"]) == (result.id, "succeeded")
    assert [tag["action"] for tag in report["items"][0]["tags"]] == ["merged", "copied", "copied"]
    stored = Stored(registry_b.host)
    assert stored.digest(f"{name}/dst", "new") == source.digest
    for repository, tag in ((f"{name}/dst", "merged"), (f"{name}/dst", "new"), (f"{name}/other", "1")):
        stored.holds(repository, tag)


def test_a_failed_push_fails_its_task_and_carries_the_report(
    workers: list[Worker],
    producer: Celery,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    name: str,
) -> None:
    """Rule 6.3."""
    request, _ = request_for(registry_a, registry_b, name)
    request["items"].append(
        {"source": f"{registry_a.host}/{name}/gone:1", "destinations": {f"{registry_b.host}/x": ["1"]}}
    )
    result = producer.send_task("imagepusher.push.v1", args=[request], queue="imagepusher.push")
    with pytest.raises(Exception, match="1 of 4 tags failed") as failure:
        result.get(timeout=300)
    assert (result.state, type(failure.value).__name__) == ("FAILURE", "PushFailed")
    report = failure.value.args[1]
    assert report["state"] == "partial"
    assert report["items"][1]["tags"][0]["error"]["code"] == "source_missing"


def test_an_invalid_request_fails_its_task(workers: list[Worker], producer: Celery) -> None:
    """Rule 1.2."""
    result = producer.send_task("imagepusher.push.v1", args=[{"items": []}], queue="imagepusher.push")
    with pytest.raises(Exception, match="items: is empty"):
        result.get(timeout=300)


def test_the_command_line_enqueues_follows_and_reports(
    workers: list[Worker],
    settings: dict[str, str],
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    name: str,
) -> None:
    request, _ = request_for(registry_a, registry_b, name)
    push_id = str(uuid.uuid4())
    done = subprocess.run(
        command("push", "-", "--output", "json", "--push-id", push_id),
        env=environment(settings),
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["push_id"] == push_id
    for arguments in (["status", push_id], ["verify", push_id], ["undo", push_id, "--yes"]):
        after = subprocess.run(
            command(*arguments), env=environment(settings), capture_output=True, check=False, timeout=300
        )
        assert after.returncode == 0, after.stderr.decode()
    assert Stored(registry_b.host).tags(f"{name}/other") == []


def test_enqueue_and_leave(
    workers: list[Worker],
    settings: dict[str, str],
    producer: Celery,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    name: str,
) -> None:
    request, _ = request_for(registry_a, registry_b, name)
    done = subprocess.run(
        command("push", "-", "--no-wait", "--output", "json"),
        env=environment(settings),
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert producer.AsyncResult(json.loads(done.stdout)["push_id"]).get(timeout=300)["state"] == "succeeded"


def test_messages_are_small_whatever_the_push(redis_server: RedisServer) -> None:
    """A header message names the push and a digest; the plan stays in the ledger."""
    # A database that no worker serves.
    url = f"{redis_server.url.removesuffix('/0')}/7"
    app = make_app(load_settings({"IMAGEPUSHER_BROKER_URL": url}))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        chord([copy.s("p", f"sha256:{number:064}") for number in range(3)], publish.si("p"), app=app).apply_async()
        queued = client.lrange("imagepusher:imagepusher.copy", 0, -1)
        assert isinstance(queued, list)
        assert len(queued) == 3
        assert max(map(len, queued)) < 3000


def test_a_message_without_arguments_ends_no_worker_and_its_producer_is_told(
    workers: list[Worker], producer: Celery, redis_server: RedisServer
) -> None:
    """What a program that does not know Celery is likely to write: the request, and not a list with it."""
    task_id = str(uuid.uuid4())
    message = {
        "body": base64.b64encode(b'{"items": []}').decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "imagepusher.push.v1", "id": task_id},
        "properties": {"body_encoding": "base64", "delivery_tag": task_id, "delivery_info": {}},
    }
    with redis.Redis(port=redis_server.port) as client:
        client.lpush("imagepusher:imagepusher.push", json.dumps(message))
    with pytest.raises(Exception, match="its body is not"):
        producer.AsyncResult(task_id).get(timeout=300)
    assert all(worker.running for worker in workers)
