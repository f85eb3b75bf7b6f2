"""The file by which probes tell that a worker lives: touched by its loop, and only while that turns."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer
from tests.support.workers import environment
from workers.process import heartbeat
from workers.settings import load_settings

# A worker as `imagepusher worker` starts it, whose heart beats faster.
_FAST = """
from workers.process import heartbeat
from workers.cli.main import main

heartbeat.EVERY_SECONDS = 0.1
main()
"""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_the_file_is_touched_while_the_worker_takes_messages(server: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    settings = {"IMAGEPUSHER_BROKER_URL": server.url, "IMAGEPUSHER_HEARTBEAT_FILE": str(file)}
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-c", _FAST, "worker"], env=environment(settings), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_until(file.exists, "the worker never touched its file")
        _wait_for_a_beat(file)
        server.kill()
        wait_until(lambda: _is_silent(file), "the file is touched although the broker is gone")
        server.restart()
        _wait_for_a_beat(file)
    finally:
        worker.terminate()
        worker.wait(300)


def _beat(file: Path) -> int:
    return file.stat().st_mtime_ns


def _wait_for_a_beat(file: Path) -> None:
    before = _beat(file)
    wait_until(lambda: _beat(file) > before, "the file is not touched any more")


def _is_silent(file: Path) -> bool:
    before = _beat(file)
    time.sleep(1)
    return _beat(file) == before


def test_a_file_that_cannot_be_touched_is_told_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heartbeat._touch(tmp_path / "no-folder" / "heartbeat")
    assert "cannot be touched: No such file or directory" in caplog.text


def test_a_relative_path_is_relative_to_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "imagepusher.toml"
    file.write_text('[worker]\nheartbeat_file = "alive"\n')
    monkeypatch.chdir(tmp_path)
    environment_ = {"HOME": str(tmp_path)}
    assert load_settings(environment_).heartbeat_file is None
    assert load_settings(environment_, str(file)).heartbeat_file == tmp_path / "etc" / "alive"
    said = environment_ | {"IMAGEPUSHER_HEARTBEAT_FILE": "alive"}
    assert load_settings(said, str(file)).heartbeat_file == tmp_path / "alive"
