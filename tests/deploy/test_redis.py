"""`deploy/redis`: what a Redis with this configuration keeps, what its users get from it, and its secrets."""

import json
import os
import shlex
import socket
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.deploy.deployed_redis import PREFIX, Deployed
from tests.deploy.local import DEPLOY
from tests.docs.readme import operating
from tests.docs.test_producers import LANGUAGES, PRODUCERS
from tests.support.processes import wait_until
from tests.support.workers import environment


def test_what_was_written_together_outlasts_a_restart(deployed: Deployed) -> None:
    """Redis reads its append-only file as its default user, and leaves out of MULTI what that one may not do."""
    with deployed.client("imagepusher") as client, client.pipeline(transaction=True) as pipe:
        pipe.set(f"{PREFIX}push:1", "done").hset(f"{PREFIX}pushes", "1", "done").lpush(f"{PREFIX}imagepusher.push", "m")
        pipe.execute()
        deployed.restart()
        assert client.get(f"{PREFIX}push:1") == "done"
        assert client.hgetall(f"{PREFIX}pushes") == {"1": "done"}
        assert client.lrange(f"{PREFIX}imagepusher.push", 0, -1) == ["m"]
    assert "NOPERM" not in (deployed.folder / "redis.log").read_text()


def test_other_machines_are_let_in(deployed: Deployed) -> None:
    """Protected mode, in which a default user without a password puts Redis, takes 127.0.0.1 alone for this machine."""
    with socket.create_connection(("127.0.0.1", deployed.port), 10, source_address=("127.0.0.2", 0)) as other:
        other.sendall(b"AUTH health none\r\nPING\r\n")
        with other.makefile("rb") as answers:
            assert [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]


def test_a_consumer_of_events_gets_them(deployed: Deployed) -> None:
    """The example, by the command line that its users know, with the user that is made for it."""
    log = deployed.folder / "consumer.log"
    lines = [line for block in operating().of("bash", "What comes after a push") for line in block.text.splitlines()]
    (line,) = [line for line in lines if line.startswith("celery ")]
    app = deployed.app("imagepusher")
    event: dict[str, Any] = {"reference": "r", "old_digest": None, "new_digest": "sha256:1", "unsigned": []}
    with log.open("wb") as output:
        consumer = subprocess.Popen(
            [sys.executable, "-m", *shlex.split(line)],
            cwd=DEPLOY / "examples" / "events", env=environment({"BROKER_URL": deployed.url("consumer")}),
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        app.send_task("signer.tag_moved", args=[event], queue="signing")
        wait_until(lambda: "r: None -> sha256:1" in log.read_text(), "the event did not come")
        with deployed.client("admin") as client:
            wait_until(lambda: not client.exists(f"{PREFIX}signing.unacked"), "the event was not acknowledged")
    finally:
        consumer.terminate()
        consumer.wait(300)
    assert deployed.refused() == [], log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("producer", ["producer.py", "producer.sh", "producer.mjs"])
def test_a_producer_of_the_examples_needs_no_other_right(deployed: Deployed, producer: str) -> None:
    """By its URL with user and password; a worker is played by the administrator."""
    (deployed.folder / "request.json").write_text("{}")
    variables = {"BROKER_URL": deployed.url("producer"), "PRODUCER": "producer", "PATH": os.environ["PATH"]}
    variables["PRODUCER_KEY_FILE"] = str(deployed.folder / "secrets" / "producer_key")
    program = subprocess.Popen(
        [*LANGUAGES[producer], str(PRODUCERS / producer), "request.json"],
        cwd=deployed.folder, env=environment(variables), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with deployed.client("admin") as client:
            wait_until(lambda: client.llen(f"{PREFIX}imagepusher.push"), "no push was sent")
            taken: Any = client.rpop(f"{PREFIX}imagepusher.push")
            headers = json.loads(taken)["headers"]
            assert headers["imagepusher_signature"].startswith("producer:")
            result = {"status": "SUCCESS", "result": {"state": "succeeded"}, "task_id": headers["id"]}
            client.set(f"{PREFIX}celery-task-meta-{headers['id']}", json.dumps(result))
            client.publish(f"{PREFIX}celery-task-meta-{headers['id']}", json.dumps(result))
        output, _ = program.communicate(timeout=120)
    finally:
        program.kill()
        program.wait()
    assert (program.returncode, json.loads(output)) == (0, {"state": "succeeded"})
    assert deployed.refused() == []


def test_a_consumer_puts_back_what_it_had_taken_and_nothing_of_workers(deployed: Deployed) -> None:
    """A copy may take longer than the hour after which Celery delivers what nobody acknowledged once more."""
    own = {f"unacked{end}_key": f"signing.unacked{end}" for end in ("", "_index", "_mutex")}
    with deployed.app("imagepusher").connection() as ours, deployed.client("admin") as client:
        queue: Any = ours.SimpleQueue("imagepusher.copy")
        queue.put({"copy": 1})
        queue.get(timeout=10)
        with deployed.app("consumer", visibility_timeout=0, **own).connection() as connection:
            signing: Any = connection.SimpleQueue("signing")
            signing.put({"number": 1})
            taken = signing.get(timeout=10)
            signing.channel.qos.restore_visible(interval=1)
            assert signing.get(timeout=10).payload == taken.payload
            signing.close()
        assert client.hlen(f"{PREFIX}unacked") == 1
        assert client.llen(f"{PREFIX}imagepusher.copy") == 0
        queue.close()
    assert deployed.refused() == []


@pytest.mark.parametrize("user", ["imagepusher", "flower"])
def test_whoever_has_a_queue_that_expires_sweeps_up_after_those_that_did(deployed: Deployed, user: str) -> None:
    with deployed.client("admin") as client, deployed.app(user).connection() as connection:
        client.zadd(f"{PREFIX}_kombu.binding_deadlines", {"reply.celery.pidbox": 1})
        client.sadd(f"{PREFIX}_kombu.binding.reply.celery.pidbox", "gone")
        channel: Any = connection.channel()
        assert channel.sweep_bindings() == 1
        assert not client.exists(f"{PREFIX}_kombu.binding.reply.celery.pidbox")


def test_a_message_that_would_not_fit_into_a_worker_is_not_taken(deployed: Deployed) -> None:
    """A worker that is killed for its memory would come back to it again and again."""
    with deployed.client("producer") as client:
        assert client.lpush(f"{PREFIX}imagepusher.push", b"x" * (32 << 20)) == 1
        with pytest.raises(redis.RedisError):
            client.lpush(f"{PREFIX}imagepusher.push", b"x" * (64 << 20) + b"x")
        assert client.llen(f"{PREFIX}imagepusher.push") == 1


def test_only_compose_gets_the_registries_of_compose(tmp_path: Path) -> None:
    """On a host or in a cluster, `imagepusher doctor` would look for them in vain."""
    script = DEPLOY / "redis" / "make-secrets"
    for name, option in (("compose", ["--compose"]), ("elsewhere", [])):
        subprocess.run([script, *option, tmp_path / name], check=True, timeout=300)
    read = {path.parent.name: tomllib.loads(path.read_text()) for path in tmp_path.glob("*/imagepusher.toml")}
    assert read["elsewhere"].keys() == {"broker", "producers"}
    assert read["compose"]["registries"].keys() == {"registry-a:5000", "registry-b:5000"}


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    """With compose containers read them: they are given to these where this user may give files away."""
    for name, options in (("secrets", []), ("compose", ["--compose"])):
        subprocess.run([DEPLOY / "redis" / "make-secrets", *options, tmp_path / name], check=True, timeout=30)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize("words", [[], ["--kubernetes", "folder"], ["a", "b", "c"]])
def test_make_secrets_says_how_it_is_called(tmp_path: Path, words: list[str]) -> None:
    told = subprocess.run(
        [DEPLOY / "redis" / "make-secrets", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert told.returncode == 2
    assert told.stderr.startswith("make-secrets [--compose] [--tls] FOLDER")
    assert list(tmp_path.iterdir()) == []
