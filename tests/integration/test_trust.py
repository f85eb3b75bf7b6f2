"""Workers with a key, and producers with theirs, on real Redis and registries: who is served, and under whose name."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, states
from kombu.serialization import dumps

from tasks import contract
from tests.support.images import image, index, layer
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import Worker, running_worker

PREFIX = {"global_keyprefix": "imagepusher:"}
SETTINGS = """
[broker]
url = "{url}"
key_file = "workers.key"

[producers.ci]
key_file = "ci.key"

[producers.release]
key_file = "release.key"

[policy.builds]
producers = ["ci"]
destinations = ["*/build/*"]

[policy.releases]
producers = ["release"]
actions = ["push", "undo", "retry"]
"""


@dataclass(frozen=True)
class Site:
    """Workers that know two producers, and an application that knows nothing of them."""

    app: Celery
    folder: Path
    worker: Worker

    def key(self, name: str) -> bytes:
        return (self.folder / f"{name}.key").read_bytes().strip()

    def send(self, task: str, argument: object, signed_by: str | None, **options: Any) -> Any:
        """Send a task as a program without the project does, and return its result."""
        task_id = options.pop("task_id", str(uuid.uuid4()))
        body = dumps(
            ([argument], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}), serializer="json"
        )[2]
        headers = {}
        if signed_by is not None:
            at = options.pop("at", int(time.time()))
            text = f"{at}\n{task}\n{task_id}\n{body}".encode()
            digest = hmac.new(self.key(signed_by), text, "sha256").hexdigest()
            headers["imagepusher_signature"] = f"{signed_by}:{at}:{digest}"
        options.setdefault("queue", contract.PUSH_QUEUE)
        self.app.send_task(task, args=[argument], task_id=task_id, headers=headers, **options)
        return self.app.AsyncResult(task_id)

    def ended_by_hand(self, request: Any, options: dict[str, Any], headers: Mapping[str, Any] | None = None) -> Any:
        """Return the result of a push of the producer ci, whose message is not written by Celery."""
        task_id = str(uuid.uuid4())
        body = json.dumps([[request], {}, options])
        text = f"{contract.PUSH_TASK}\n{task_id}\n{body}".encode()
        signature = f"ci:{hmac.new(self.key('ci'), text, 'sha256').hexdigest()}"
        said = {"task": contract.PUSH_TASK, "id": task_id, "imagepusher_signature": signature}
        message = {
            "body": base64.b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {**said, **(headers or {})},
            "properties": {
                "body_encoding": "base64",
                "delivery_tag": task_id,
                "delivery_info": {"exchange": "", "routing_key": contract.PUSH_QUEUE},
            },
        }
        with redis.Redis.from_url(str(self.app.conf.broker_url)) as client:
            client.lpush(f"imagepusher:{contract.PUSH_QUEUE}", json.dumps(message))
        return self.app.AsyncResult(task_id).get(timeout=100, propagate=False)

    def ended(self, task: str, argument: object, signed_by: str | None, **options: Any) -> Any:
        return self.send(task, argument, signed_by, **options).get(timeout=100, propagate=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("trust")
    for name in ("workers", "ci", "release"):
        path = folder / f"{name}.key"
        path.write_text(hashlib.sha256(name.encode()).hexdigest())
        path.chmod(0o600)
    with RedisServer() as server:
        (folder / "settings.toml").write_text(SETTINGS.format(url=server.url))
        app = Celery("producer", broker=server.url, backend=server.url, set_as_current=False)
        app.conf.broker_transport_options = app.conf.result_backend_transport_options = PREFIX
        with running_worker({"IMAGEPUSHER_CONFIG": str(folder / "settings.toml")}) as worker:
            yield Site(app, folder, worker)


@pytest.fixture
def request_of(registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str) -> Any:
    node = index([image("linux/amd64", [layer(name, 1000)])])
    upload(registry_a.host, f"{name}/app", node, "1")

    def make(place: str, **more: Any) -> dict[str, Any]:
        destinations = {f"{registry_b.host}/{place}/{name}": ["1"]}
        return {"items": [{"source": f"{registry_a.host}/{name}/app:1", "destinations": destinations}], **more}

    return make


def code_of(found: Any) -> str:
    """Return the class of the exception that a program without the project gets for an error."""
    return type(found).__name__


def test_a_signed_push_is_done_and_its_report_and_the_log_name_the_producer(site: Site, request_of: Any) -> None:
    report = site.ended(contract.PUSH_TASK, request_of("build"), "ci")
    assert (report["state"], report["producer"]) == ("succeeded", "ci")

    def told() -> list[Any]:
        lines = [json.loads(line) for line in site.worker.log().splitlines() if line.startswith("{")]
        ends = [line for line in lines if line["event"] == "push-images-to-quay-end"]
        return [line["producer"] for line in ends if line["push_id"] == report["push_id"]]

    wait_until(lambda: bool(told()), "the log does not tell of the end")
    assert told() == ["ci"]


def test_a_message_that_is_sent_again_does_nothing_again(site: Site, request_of: Any) -> None:
    """Whoever got hold of it may send it: it is the same push."""
    task_id = str(uuid.uuid4())
    request = request_of("build")
    first = site.ended(contract.PUSH_TASK, request, "ci", task_id=task_id)
    (destination,) = request["items"][0]["destinations"]
    host, _, repository = destination.partition("/")
    other = upload(host, repository, index([image("linux/s390x", [layer("other", 1000)])]), "1")
    again = f"{contract.PUSH_TASK}[{task_id}] succeeded"
    site.send(contract.PUSH_TASK, request, "ci", task_id=task_id)
    wait_until(lambda: again in site.worker.log(), "it was not taken")
    assert site.app.AsyncResult(task_id).get(timeout=100) == first
    assert Stored(host).digest(repository, "1") == other


def test_a_message_that_is_sent_again_when_the_ledger_has_forgotten_it_is_refused(site: Site, request_of: Any) -> None:
    """It would be a new push: limits.ledger_seconds is a week."""
    request = request_of("build")
    found = site.ended(contract.PUSH_TASK, request, "ci", at=int(time.time()) - 8 * 86_400)
    assert code_of(found) == "RequestInvalid"
    assert "limits.ledger_seconds" in str(found)
    (destination,) = request["items"][0]["destinations"]
    host, _, repository = destination.partition("/")
    assert Stored(host).digest(repository, "1") is None


def test_a_push_that_nobody_signed_is_refused(site: Site, request_of: Any) -> None:
    assert code_of(site.ended(contract.PUSH_TASK, request_of("build"), None)) == "NotPermitted"


def test_a_signature_is_good_for_its_own_message_alone(site: Site, request_of: Any) -> None:
    """The name of a producer, a replaced body, another id: nothing is taken, and nobody is told."""
    task_id = str(uuid.uuid4())
    text = f"{contract.PUSH_TASK}\n{task_id}\n{{}}".encode()
    forged = f"ci:{hmac.new(site.key('ci'), text, 'sha256').hexdigest()}"
    site.app.send_task(
        contract.PUSH_TASK,
        args=[request_of("build")],
        task_id=task_id,
        headers={"imagepusher_signature": forged},
        queue=contract.PUSH_QUEUE,
    )
    site.ended(contract.PUSH_TASK, request_of("build"), "ci")
    assert site.app.AsyncResult(task_id).state == states.PENDING


@pytest.mark.parametrize(
    "options",
    [{"imagepusher_sender": "workers"}, {"id": "victim"}, {"delivery_info": {"redelivered": True}}, {"args": []}],
)
def test_options_that_celery_would_take_for_what_the_worker_knows_are_refused(
    site: Site, request_of: Any, options: dict[str, Any]
) -> None:
    """Celery lets them replace what it knows of a message: its id, and the name of who signed it."""
    found = site.ended_by_hand(request_of("prod"), options)
    assert code_of(found) == "RequestInvalid"
    assert "options" in str(found)


@pytest.mark.parametrize("is_missing", [False, True])
def test_callbacks_among_the_headers_make_no_worker_send_tasks(
    site: Site, request_of: Any, *, is_missing: bool
) -> None:
    """Celery reads them there too, if the body has none."""
    follows = {
        "task": "signer.tag_moved",
        "args": [{}],
        "kwargs": {},
        "options": {"queue": "signing"},
        "immutable": True,
    }
    request = request_of("build")
    if is_missing:
        request["items"][0]["source"] += ".missing"
    headers = {"callbacks": [follows], "errbacks": [follows], "chain": [follows], "chord": follows}
    found = site.ended_by_hand(request, {}, headers)
    assert code_of(found) == ("PushFailed" if is_missing else "dict")
    with redis.Redis.from_url(str(site.app.conf.broker_url)) as client:
        assert client.exists("imagepusher:signing") == 0


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"headers": {}},
        {"headers": {"task": [], "id": "x"}},
        {"headers": {"task": {"a": 1}, "id": "x"}},
        {"headers": {"task": None, "id": "x"}},
        {"headers": {"task": "nobody.knows.this", "id": "x"}},
        {"content-type": "application/x-python-serialize"},
        {"content-encoding": "no such one"},
        {"content-type": {}},
        {"body": base64.b64encode(b"made-up-secret {").decode()},
        {"properties": {"delivery_tag": "x", "body_encoding": "made-up-secret"}},
    ],
)
@pytest.mark.parametrize("queue", [contract.COPY_QUEUE, contract.PUBLISH_QUEUE, f"{contract.PUSH_QUEUE}.noted"])
def test_no_message_ends_a_worker_or_is_shown_in_its_log(site: Site, queue: str, changed: dict[str, Any]) -> None:
    """T11, T13: no intake looks at these queues first, as at none on RabbitMQ. A request may hold what it must not."""
    body = json.dumps([[{"items": [], "target_settings": {"dest_quay_api_token": "made-up-secret"}}], {}, {}])
    message = {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": contract.PUSH_TASK, "id": str(uuid.uuid4())},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }

    def told() -> int:
        return site.worker.log().count("A message is refused") + site.worker.log().count("is no message")

    before = told()
    with redis.Redis.from_url(str(site.app.conf.broker_url)) as client:
        client.lpush(f"imagepusher:{queue}", json.dumps(message | changed))
    wait_until(lambda: told() > before or not site.worker.running, "it was taken")
    assert site.worker.running
    assert "made-up-secret" not in site.worker.log()


def test_messages_that_celery_would_fail_on_take_no_place_of_a_worker(site: Site, request_of: Any) -> None:
    """More of them than it has places."""
    for _ in range(20):
        assert code_of(site.ended_by_hand(request_of("build"), {}, {"timelimit": "x"})) == "RequestInvalid"
    assert site.ended(contract.PUSH_TASK, request_of("build"), "ci")["state"] == "succeeded"


def test_a_rule_that_does_not_fit_is_named_before_anything_is_read(site: Site, request_of: Any) -> None:
    request = request_of("prod") | {"push_id": str(uuid.uuid4())}
    request["items"][0]["source"] = "127.0.0.1:1/nobody/listens:1"
    refused = site.ended(contract.PUSH_TASK, request, "ci", task_id=request["push_id"])
    assert code_of(refused) == "NotPermitted"
    assert "[policy.builds]" in str(refused)
    assert "destinations" in str(refused)


def test_an_undo_needs_a_right_of_its_own(site: Site, request_of: Any) -> None:
    push_id = str(uuid.uuid4())
    request = request_of("build", push_id=push_id)
    assert site.ended(contract.PUSH_TASK, request, "ci", task_id=push_id)["state"] == "succeeded"
    refused = site.ended(contract.UNDO_TASK, push_id, "ci", queue=contract.PUBLISH_QUEUE)
    assert code_of(refused) == "NotPermitted"
    undone = site.ended(contract.UNDO_TASK, push_id, "release", queue=contract.PUBLISH_QUEUE)
    assert undone["state"] == "succeeded"


def test_an_undo_that_is_sent_again_does_nothing_again(site: Site, request_of: Any) -> None:
    """Whoever got hold of it could undo what was retried since."""
    push_id, undo_id = str(uuid.uuid4()), str(uuid.uuid4())
    request = request_of("build", push_id=push_id)
    (destination,) = request["items"][0]["destinations"]
    host, _, repository = destination.partition("/")
    assert site.ended(contract.PUSH_TASK, request, "release", task_id=push_id)["state"] == "succeeded"
    undone = site.ended(contract.UNDO_TASK, push_id, "release", queue=contract.PUBLISH_QUEUE, task_id=undo_id)
    assert undone["state"] == "succeeded"
    assert site.ended(contract.PUSH_TASK, request, "release")["state"] == "succeeded"
    before = site.worker.log().count("A message is refused")
    site.send(contract.UNDO_TASK, push_id, "release", queue=contract.PUBLISH_QUEUE, task_id=undo_id)
    wait_until(lambda: site.worker.log().count("A message is refused") > before, "it was taken")
    assert Stored(host).digest(repository, "1") is not None
    assert site.app.AsyncResult(undo_id).get(timeout=100) == undone


def test_an_undo_of_anothers_push_that_has_not_moved_a_tag_is_refused(site: Site, request_of: Any) -> None:
    """It would stop the push."""
    push_id = str(uuid.uuid4())
    request = request_of("prod", push_id=push_id)
    request["items"][0]["source"] += ".missing"
    assert code_of(site.ended(contract.PUSH_TASK, request, "release", task_id=push_id)) == "PushFailed"
    refused = site.ended(contract.UNDO_TASK, push_id, "ci", queue=contract.PUBLISH_QUEUE)
    assert code_of(refused) == "NotPermitted"


@pytest.mark.parametrize("task", [contract.UNDO_TASK, contract.VERIFY_TASK])
@pytest.mark.parametrize("argument", ["VICTIM/waiting", "VICTIM/intents", "", "x" * 129, ["VICTIM"], 7, None])
def test_what_is_no_id_of_a_push_is_no_key_of_another_ones_records(
    site: Site, request_of: Any, task: str, argument: Any
) -> None:
    """A task may have any id: `created` stands among those that wait for a push, as in the record of a push."""
    push_id = str(uuid.uuid4())
    for task_id in (push_id, "created"):
        site.ended(contract.PUSH_TASK, request_of("build", push_id=push_id), "release", task_id=task_id)
    argument = argument.replace("VICTIM", push_id) if isinstance(argument, str) else argument
    queue = contract.PUBLISH_QUEUE if task == contract.UNDO_TASK else contract.PUSH_QUEUE
    assert code_of(site.ended(task, argument, "release", queue=queue)) == "PushUnknown"


@pytest.mark.parametrize("signed_by", [None, "ci"])
@pytest.mark.parametrize(
    ("task", "queue"),
    [
        (contract.PUBLISH_TASK, contract.PUBLISH_QUEUE),
        (contract.COPY_TASK, contract.COPY_QUEUE),
        ("celery.accumulate", contract.COPY_QUEUE),
        ("celery.backend_cleanup", contract.PUBLISH_QUEUE),
        ("nobody.knows.this", contract.COPY_QUEUE),
    ],
)
def test_what_workers_send_each_other_is_taken_from_workers_alone(
    site: Site, task: str, queue: str, signed_by: str | None
) -> None:
    before = site.worker.log().count("A message is refused")
    result = site.send(task, "victim", signed_by, queue=queue)
    wait_until(lambda: site.worker.log().count("A message is refused") > before, "it was taken")
    assert result.state == states.PENDING
