"""Run the real Distribution registry, `docker-registry`, with a storage folder of its own."""

import os
import re
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import bcrypt
import requests
import yaml

from tests.support import processes
from tests.support.certificates import Certificates
from tests.support.processes import Process
from tests.support.token_server import TokenServer

# `user` may hold blanks or brackets; the request line is quoted.
ACCESS_LINE = re.compile(
    r'^\S+ - .*? \[[^]]+\] "(?P<method>[A-Z]+) (?P<path>[^?" ]*)(?:\?(?P<query>[^" ]*))? HTTP/[\d.]+" '
    r'(?P<status>\d{3}) \d+ "[^"]*" "(?P<agent>[^"]*)"$',
    re.MULTILINE,
)


@dataclass(frozen=True)
class BasicAuth:
    """Let these users in (name to password), and nobody else."""

    users: Mapping[str, str]


@dataclass(frozen=True)
class TokenAuth:
    """Send clients to a token server."""

    server: TokenServer


class Logged(NamedTuple):
    """Hold one line of the access log; the path carries no query."""

    method: str
    path: str
    status: int
    query: str = ""


class DistributionRegistry:
    """Serve a registry on loopback while the context lasts; one object runs one process at a time.

    `allow_urls` are regular expressions for the urls of layers that a manifest may name; none are allowed
    otherwise. `storage` outlives `kill` and `restart`, and so does the port.
    """

    address = "127.0.0.1"

    def __init__(
        self,
        *,
        auth: BasicAuth | TokenAuth | None = None,
        tls: Certificates | None = None,
        delete: bool = True,
        allow_urls: Sequence[str] = (),
        relative_urls: bool = False,
    ) -> None:
        self._auth = auth
        self._tls = tls
        self._delete = delete
        self._allow_urls = list(allow_urls)
        self._relative_urls = relative_urls
        self._temporary = tempfile.TemporaryDirectory(prefix="registry-")
        self._folder = Path(self._temporary.name)
        self._process: Process | None = None
        self.storage = self._folder / "storage"
        self.log_path = self._folder / "registry.log"

    @property
    def process(self) -> Process:
        if self._process is None:
            raise RuntimeError("enter the registry first")
        return self._process

    @property
    def host(self) -> str:
        return f"{self.address}:{self.process.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def __enter__(self) -> Self:
        try:
            self._process = self._start(None)
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()
        self._temporary.cleanup()

    def kill(self) -> None:
        """Kill the process as a crash would; what is stored stays."""
        self.process.kill()

    def restart(self) -> None:
        """Start again on the same port, after ending what still runs."""
        self.process.stop()
        self._process = self._start(self.process.port)

    def requests(self) -> list[Logged]:
        """Return all requests answered so far, oldest first, but for those of this object itself."""
        # The access log is written after the answer: the line of a request sent later means the rest is there.
        marker = f"marker-{uuid.uuid4().hex}"
        self._ping(marker)
        processes.wait_until(lambda: marker in self.process.log(), "the access log never showed a request")
        return [
            Logged(match["method"], match["path"], int(match["status"]), match["query"] or "")
            for match in ACCESS_LINE.finditer(self.process.log())
            if not match["agent"].startswith("marker-")
        ]

    def _ping(self, agent: str) -> int:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(self._tls.authority) if self._tls else True
            if self._tls and self._tls.client_authority:
                session.cert = (str(self._tls.server.certificate), str(self._tls.server.key))
            return session.get(f"{self.url}/v2/", headers={"User-Agent": agent}, timeout=30).status_code

    def _start(self, port: int | None) -> Process:
        program = processes.find_program("docker-registry", "docker-registry")

        def command(chosen: int) -> list[str]:
            path = self._folder / "config.yml"
            path.write_text(yaml.safe_dump(self._config(chosen)))
            return [program, "serve", str(path)]

        # The registry reads REGISTRY_* as its configuration.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("REGISTRY_")}
        already = len(self.log_path.read_text(errors="replace")) if self.log_path.exists() else 0

        def ready(process: Process) -> bool:
            return f"listening on {self.address}:{process.port}" in process.log()[already:]

        return processes.start(command, ready, self.log_path, port=port, environment=environment)

    def _config(self, port: int) -> dict[str, Any]:
        http: dict[str, Any] = {
            "addr": f"{self.address}:{port}",
            "secret": "one secret for every start",
            "relativeurls": self._relative_urls,
        }
        if self._tls:
            http["tls"] = {
                "certificate": str(self._tls.server.certificate),
                "key": str(self._tls.server.key),
            }
            if self._tls.client_authority:
                http["tls"]["clientcas"] = [str(self._tls.client_authority)]
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage)},
                "delete": {"enabled": self._delete},
            },
            "http": http,
        }
        if self._allow_urls:
            config["validation"] = {"manifests": {"urls": {"allow": self._allow_urls}}}
        if self._auth:
            config["auth"] = self._auth_config(self._auth)
        return config

    def _auth_config(self, auth: BasicAuth | TokenAuth) -> dict[str, Any]:
        if isinstance(auth, TokenAuth):
            bundle = self._folder / "token.crt"
            bundle.write_bytes(auth.server.certificate)
            return {
                "token": {
                    "realm": auth.server.realm,
                    "service": auth.server.service,
                    "issuer": auth.server.issuer,
                    "rootcertbundle": str(bundle),
                }
            }
        entries = self._folder / "htpasswd"
        # The lowest cost that bcrypt has: the registry checks the password on each request.
        lines = (
            f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()}"
            for user, password in auth.users.items()
        )
        entries.write_text("\n".join(lines) + "\n")
        return {"htpasswd": {"realm": "tests", "path": str(entries)}}
