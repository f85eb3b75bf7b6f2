"""Run the page of pushes as an operator does: by `imagepusher page`."""

from collections.abc import Mapping
from typing import Final

import requests

from tests.support.processes import Process
from tests.support.server import Server
from tests.support.workers import command, environment

USER: Final = "operator"
PASSWORD: Final = "made-up-for-the-page"


class Page(Server):
    """The page of the pushes that the settings of the workers name, with a login or without."""

    name = "page"

    def __init__(self, settings: Mapping[str, str], *, login: bool = True) -> None:
        super().__init__()
        secret = self.folder / "login"
        secret.write_text(f"{USER}:{PASSWORD}\n")
        secret.chmod(0o600)
        own = {"IMAGEPUSHER_PAGE_LOGIN_FILE": str(secret)} if login else {}
        self._settings = {**settings, **own}

    def command(self, port: int) -> list[str]:
        return command("page", "--address", f"127.0.0.1:{port}")

    def environment(self) -> dict[str, str]:
        return environment(self._settings)

    def ready(self, process: Process, output: str) -> bool:
        return f"The pushes are at http://127.0.0.1:{process.port}." in output

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url_with_login(self) -> str:
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def get(self, path: str, *, password: str | None = PASSWORD, accept: str = "application/json") -> requests.Response:
        """Ask for one address; without a password there is no login."""
        with requests.Session() as session:
            session.trust_env = False
            return session.get(
                f"{self.url}{path}",
                auth=None if password is None else (USER, password),
                headers={"Accept": accept},
                timeout=30,
            )
