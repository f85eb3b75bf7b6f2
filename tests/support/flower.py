"""Run Flower as an operator does: by `deploy/flower/start.py`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

import requests

from tests.support.processes import Process, wait_until
from tests.support.server import Server
from tests.support.workers import environment

START: Final = Path(__file__).parents[2] / "deploy" / "flower" / "start.py"
USER: Final = "operator"
PASSWORD: Final = "made-up-for-flower"


class Flower(Server):
    """A Flower that sees a worker; it has the settings of the workers and options of its own."""

    name = "flower"

    def __init__(
        self, settings: Mapping[str, str], *, login: bool = True, options: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__()
        # Mounted secrets often end in a line feed.
        secret = self.folder / "login"
        secret.write_text(f"{USER}:{PASSWORD}\n")
        own = {"FLOWER_BASIC_AUTH_FILE": str(secret)} if login else {}
        self._settings = {**settings, **own, **options}

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            wait_until(self.sees_a_worker, "Flower sees no worker")
        except BaseException as error:
            error.add_note(self.process.log())
            self.end()
            raise
        return self

    def command(self, port: int) -> list[str]:
        # Flower's port is an option in the environment, which is the same for every attempt.
        return ["/usr/bin/env", f"FLOWER_PORT={port}", sys.executable, str(START)]

    def environment(self) -> dict[str, str]:
        return environment(self._settings)

    def ready(self, process: Process, output: str) -> bool:
        return f":{process.port}" in output and "Connected to" in output

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
