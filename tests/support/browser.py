"""Look at pages in a real Chromium without a screen, through chromedriver and the WebDriver protocol."""

import base64
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import requests

from tests.support import processes
from tests.support.processes import Process

_TIMEOUT: Final = 60
_ARGUMENTS: Final = (
    "--headless=new",
    # Chromium's own sandbox refuses to run as root; the pages are those of this test.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


class Browser:
    """One browser window while the context lasts; every answer of the driver that is an error raises."""

    def __init__(self, width: int = 1400, height: int = 900) -> None:
        self._size = f"--window-size={width},{height}"
        self._temporary = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self._http = requests.Session()
        self._http.trust_env = False
        self._driver: Process | None = None
        self._session = ""

    def __enter__(self) -> Self:
        folder = Path(self._temporary.name)
        program = processes.find_program("chromedriver", "chromium-driver")
        self._driver = processes.start(
            lambda port: [program, f"--port={port}"],
            lambda process: "started successfully" in process.log(),
            folder / "chromedriver.log",
        )
        arguments = [*_ARGUMENTS, self._size, f"--user-data-dir={folder / 'profile'}"]
        always = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}
        try:
            started = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": always}})
        except BaseException:
            self._driver.stop()
            raise
        self._session = f"/session/{started['sessionId']}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ask("DELETE", self._session)
        finally:
            if self._driver:
                self._driver.stop()
            self._http.close()
            self._temporary.cleanup()

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded; a URL may carry a user and a password."""
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a piece of JavaScript returns; it finds its arguments in `arguments`."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str = "body") -> str:
        """Return what a person reads in the first element of a CSS selector, "" where there is none."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def texts(self, selector: str) -> list[str]:
        """Return what a person reads in each element of a CSS selector."""
        found: Sequence[Any] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map(found => found.innerText.trim())", selector
        )
        return [str(text) for text in found]

    def colour(self, selector: str) -> tuple[int, int, int]:
        """Return red, green and blue, 0 to 255, of the background of an element."""
        css = self.run("return getComputedStyle(document.querySelector(arguments[0])).backgroundColor", selector)
        red, green, blue = (int(part) for part in css.partition("(")[2].rstrip(")").split(",")[:3])
        return red, green, blue

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as a PNG."""
        path.write_bytes(base64.b64decode(self._ask("GET", f"{self._session}/screenshot")))

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        if self._driver is None:
            raise RuntimeError("enter the browser first")
        answer = self._http.request(
            method,
            f"http://127.0.0.1:{self._driver.port}{path}",
            data=None if body is None else json.dumps(body),
            timeout=_TIMEOUT,
        )
        value = answer.json()["value"]
        if answer.status_code != requests.codes.ok:
            raise RuntimeError(f"The browser refused {method} {path}: {value.get('message', value)}")
        return value
