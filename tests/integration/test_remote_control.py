"""Celery's own commands, by the application that the settings name."""

import json
import subprocess
import sys

import pytest
import redis
from celery import Celery, states

from tasks import contract
from tasks.coordination.ledger import HashLedger
from tasks.coordination.redis.hashes import RedisHashes
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer
from tests.support.workers import command, environment, running_worker


def celery(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers.app", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_worker_answers_a_ping() -> None:
    with RedisServer() as server:
        settings = {"IMAGEPUSHER_BROKER_URL": server.url}
        with running_worker(settings, ["--name", "one@here"]):
            answered = celery("inspect", "ping", **settings)
    assert answered.returncode == 0, answered.stderr
    assert "one@here: OK" in answered.stdout
    assert "pong" in answered.stdout


@pytest.mark.parametrize("settings", [{}])
def test_without_a_broker_there_is_nobody_to_ask(settings: dict[str, str]) -> None:
    asked = celery("inspect", "ping", **settings)
    assert asked.returncode != 0
    assert "IMAGEPUSHER_BROKER_URL" in asked.stderr + asked.stdout


def test_a_push_whose_task_was_revoked_is_cancelled_for_good() -> None:
    """T7: Celery forgets what was revoked when its workers end; the ledger does not, and the watchdog asks it."""
    with RedisServer() as server:
        settings = {"IMAGEPUSHER_BROKER_URL": server.url}
        request = {
            "push_id": "mine",
            "items": [{"source": "a.invalid/app:1", "destinations": {"b.invalid/app": ["1"]}}],
        }
        with running_worker(settings, ["--queues", "publish"]):
            sent = program("push", "-", "--no-wait", text=json.dumps(request), **settings)
            assert sent.returncode == 0, sent.stderr
            ledger = HashLedger(RedisHashes(redis.Redis.from_url(server.url), 600))
            # A worker that takes no pushes has one noted by another that does: its entry is made here.
            ledger.accept("mine", request, "mine")
            told = celery("control", "revoke", "mine", **settings)
            assert told.returncode == 0, told.stderr
        with running_worker(settings, ["--queues", "push,publish"]):
            ended = program("wait", "mine", "-o", "json", **settings)
    codes = {tag["error"]["code"] for part in json.loads(ended.stdout)["items"] for tag in part["tags"]}
    assert codes == {"cancelled_by_user"}


@pytest.mark.parametrize("task", [contract.PUSH_TASK, contract.UNDO_TASK])
def test_a_task_that_was_revoked_in_its_queue_is_never_carried_out(task: str) -> None:
    """T7: all workers may end before one of them takes its message."""
    with RedisServer() as server:
        settings = {"IMAGEPUSHER_BROKER_URL": server.url}
        request = {"items": [{"source": "127.0.0.1:1/app:1", "destinations": {"127.0.0.1:1/app": ["1"]}}]}
        queue = contract.PUSH_QUEUE if task == contract.PUSH_TASK else contract.PUBLISH_QUEUE
        ledger = HashLedger(RedisHashes(redis.Redis.from_url(server.url), 600))
        app = Celery("producer", broker=server.url, backend=server.url, set_as_current=False)
        app.conf.broker_transport_options = app.conf.result_backend_transport_options = {
            "global_keyprefix": "imagepusher:"
        }
        with running_worker(settings, ["--queues", "copy"]):
            app.control.revoke("mine")
            wait_until(lambda: ledger.is_spent("mine"), "nobody noted it")
        app.send_task(task, args=[request if task == contract.PUSH_TASK else "mine"], task_id="mine", queue=queue)
        with running_worker(settings, ["--queues", "push,publish"]):
            found = app.AsyncResult("mine").get(timeout=300, propagate=False)
        assert type(found).__name__ == "TaskRevokedError"
        assert str(app.AsyncResult("mine").state) == states.REVOKED
        assert ledger.request("mine") is None


def program(*arguments: str, text: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), env=environment(settings), input=text, capture_output=True, text=True, check=False
    )
