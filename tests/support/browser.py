"""Look at pages in a real Chromium without a screen, through chromedriver and the WebDriver protocol."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import requests

from tests.support import processes
from tests.support.processes import Process
from tests.support.server import Server

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


class Browser(Server):
    """One browser window while the context lasts; every answer of the driver that is an error raises."""

    name = "chromedriver"

    def __init__(self, width: int = 1400, height: int = 900) -> None:
        super().__init__()
        self._size = f"--window-size={width},{height}"
        self._http = requests.Session()
        self._http.trust_env = False
        self._session = ""

    def __enter__(self) -> Self:
        super().__enter__()
        arguments = [*_ARGUMENTS, self._size, f"--user-data-dir={self.folder / 'profile'}"]
        always = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}
        try:
            started = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": always}})
        except BaseException:
            self.end()
            raise
        self._session = f"/session/{started['sessionId']}"
        return self

    def end(self) -> None:
        """Close the window and end the driver."""
        try:
            if self._session:
                self._ask("DELETE", self._session)
        finally:
            self._http.close()
            super().end()

    def command(self, port: int) -> list[str]:
        return [processes.find_program("chromedriver", "chromium-driver"), f"--port={port}"]

    def ready(self, process: Process, output: str) -> bool:
        return "started successfully" in output

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

    def tell(self, command: str, **parameters: Any) -> Any:
        """Return the answer to a command of the DevTools protocol."""
        return self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def press(self, key: str, code: int) -> None:
        """Press a key that types nothing, by its name and its Windows virtual key code, and let it go."""
        for kind in ("rawKeyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as a PNG."""
        path.write_bytes(base64.b64decode(self._ask("GET", f"{self._session}/screenshot")))

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body),
            timeout=_TIMEOUT,
        )
        value = answer.json()["value"]
        if answer.status_code != requests.codes.ok:
            raise RuntimeError(f"The browser refused {method} {path}: {value.get('message', value)}")
        return value
