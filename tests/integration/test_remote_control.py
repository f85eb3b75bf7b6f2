"""Celery's own commands, by the application that the settings name."""

import subprocess
import sys

import pytest

from tests.support.redis_server import RedisServer
from tests.support.workers import environment, running_worker


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
