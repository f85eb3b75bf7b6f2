"""An embedded client in a process of its own: a push a line on stdin, a report a line on stdout.

Its end, its threads and its sockets are its own: a registry that stays broken holds up no other test.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tasks.contract import PushReport
from tasks.errors import ImagePusherError
from tests.support.workers import environment
from workers.client.open import open_client
from workers.settings import load_settings

_DEADLINE = 300.0
_AT_ONCE = 16


class EmbeddedPusher:
    """Pushes through an embedded client in another process; threads share it."""

    def __init__(self, settings: Mapping[str, str], log_path: Path) -> None:
        self._settings = settings
        self._log_path = log_path
        self._waiting: dict[str, Future[dict[str, Any]]] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                env=environment(self._settings),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_DEADLINE)
        finally:
            self._process.kill()
            self._process.wait()
            self._listener.join()
            self._process.stdout.close()

    def push(self, request: dict[str, Any]) -> PushReport:
        """Return the report of a push; a push without one, or without an end, fails the test."""
        assert self._process.stdin is not None
        answered = self._waiting[request["push_id"]] = Future()
        with self._guard:
            self._process.stdin.write(f"{json.dumps(request)}\n")
            self._process.stdin.flush()
        try:
            answer = answered.result(_DEADLINE)
        except TimeoutError:
            raise AssertionError(f"no report after {_DEADLINE:g} s; the log ends:\n{self.log()[-4000:]}") from None
        assert "error" not in answer, f"no report: {answer['error']}; the log ends:\n{self.log()[-4000:]}"
        return msgspec.convert(answer, PushReport)

    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            self._waiting[answer["push_id"]].set_result(answer)


def _serve() -> None:
    logging.basicConfig(level=logging.WARNING)
    telling = threading.Lock()
    with open_client(load_settings(os.environ)) as client, ThreadPoolExecutor(_AT_ONCE) as pool:

        def wait(push_id: str) -> None:
            try:
                answer = msgspec.to_builtins(client.wait(push_id))
            except ImagePusherError as error:
                answer = {"push_id": push_id, "error": {"code": error.code, "message": str(error)}}
            with telling:
                sys.stdout.write(f"{json.dumps(answer)}\n")
                sys.stdout.flush()

        for line in sys.stdin:
            request = json.loads(line)
            client.send(request, request["push_id"])
            pool.submit(wait, request["push_id"])


if __name__ == "__main__":
    _serve()
