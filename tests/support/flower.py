"""Run Flower as an operator does: by `deploy/flower/start.py`."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import requests

from tests.support import processes
from tests.support.processes import wait_until
from tests.support.workers import environment

START: Final = Path(__file__).parents[2] / "deploy" / "flower" / "start.py"
USER: Final = "operator"
PASSWORD: Final = "made-up-for-flower"


@dataclass(frozen=True)
class Flower:
    """A running Flower and its login."""

    port: int
    process: processes.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url_with_login(self) -> str:
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def get(self, path: str, *, login: bool = True) -> requests.Response:
        return self._ask("GET", path, login=login)

    def post(self, path: str, body: object, *, login: bool = True) -> requests.Response:
        return self._ask("POST", path, body, login=login)

    def sees_a_worker(self) -> bool:
        """Tell whether an event of a worker has arrived: events from now on are seen as well."""
        return bool(self.get("/workers?json=1").json()["data"])

    def _ask(self, method: str, path: str, body: object = None, *, login: bool) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method,
                f"{self.url}{path}",
                json=body,
                auth=(USER, PASSWORD) if login else None,
                timeout=30,
                allow_redirects=False,
            )


@contextmanager
def running_flower(
    settings: Mapping[str, str], *, login: bool = True, options: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Flower]:
    """Start Flower with the settings of the workers and options of its own, wait until it serves, and end it."""
    with tempfile.TemporaryDirectory(prefix="flower-") as folder:
        # Mounted secrets often end in a line feed.
        secret = Path(folder) / "login"
        secret.write_text(f"{USER}:{PASSWORD}\n")
        own = {"FLOWER_BASIC_AUTH_FILE": str(secret)} if login else {}

        def command(port: int) -> list[str]:
            # Flower's port is an option in the environment, which is the same for every attempt.
            return ["/usr/bin/env", f"FLOWER_PORT={port}", sys.executable, str(START)]

        process = processes.start(
            command,
            lambda process: f":{process.port}" in process.log() and "Connected to" in process.log(),
            Path(folder) / "flower.log",
            environment=environment({**settings, **own, **options}),
        )
        flower = Flower(process.port, process)
        try:
            wait_until(flower.sees_a_worker, f"Flower sees no worker:\n{process.log()}")
            yield flower
        finally:
            process.stop()
