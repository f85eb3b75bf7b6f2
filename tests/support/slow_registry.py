"""A registry that keeps back the second half of every big blob until told: pushes from it are under way."""

import threading
from typing import ClassVar

import requests

from tests.support.loopback import Handler, LoopbackServer


class SlowRegistry(LoopbackServer):
    """Pass requests on to a real registry, and keep back the second half of every big blob until told."""

    def __init__(self, behind: str) -> None:
        super().__init__()
        self.behind = behind
        self.released = threading.Event()

    class handler(Handler):  # noqa: N801 - the name is LoopbackServer's
        owner: ClassVar["SlowRegistry"]

        def do_HEAD(self) -> None:  # noqa: N802 - http.server's name
            self._pass_on()

        def do_GET(self) -> None:  # noqa: N802 - http.server's name
            self._pass_on()

        def _pass_on(self) -> None:
            owner = self.owner
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            with requests.Session() as session:
                session.trust_env = False
                answer = session.request(self.command, f"http://{owner.behind}{self.path}", headers=headers, timeout=30)
            self.send_response(answer.status_code)
            # A client that waited for longer than it may asks for the rest.
            for name in ("Content-Type", "Content-Length", "Content-Range", "Docker-Content-Digest"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            self._send(b"" if self.command == "HEAD" else answer.content)

        def _send(self, content: bytes) -> None:
            if len(content) < 1 << 20:
                self.wfile.write(content)
                return
            quarter = len(content) // 4
            self.wfile.write(content[:quarter])
            # Progress is shown once in a second: what comes later than that is shown.
            self.owner.released.wait(1.2)
            self.wfile.write(content[quarter : 2 * quarter])
            self.owner.released.wait()
            self.wfile.write(content[2 * quarter :])
