"""Run the real Distribution registry, `docker-registry`, with a storage folder of its own."""

import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import bcrypt
import requests
import yaml

from tests.support import processes
from tests.support.certificates import Certificates
from tests.support.processes import Process
from tests.support.server import Server
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


class DistributionRegistry(Server):
    """Serve a registry on loopback while the context lasts; what `storage` holds outlives `kill` and `restart`.

    `allow_urls` are regular expressions for the urls of layers that a manifest may name; none are allowed otherwise.
    """

    name = "registry"
    address = "127.0.0.1"

    def __init__(
        self,
        *,
        auth: BasicAuth | TokenAuth | None = None,
        tls: Certificates | None = None,
        delete: bool = True,
        allow_urls: Sequence[str] = (),
        relative_urls: bool = False,
        parent: str | None = None,
    ) -> None:
        super().__init__(parent)
        self._auth = auth
        self._tls = tls
        self._delete = delete
        self._allow_urls = list(allow_urls)
        self._relative_urls = relative_urls
        self.storage = self.folder / "storage"

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

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

    def command(self, port: int) -> list[str]:
        path = self.folder / "config.yml"
        path.write_text(yaml.safe_dump(self._config(port)))
        return [processes.find_program("docker-registry", "docker-registry"), "serve", str(path)]

    def environment(self) -> dict[str, str]:
        """Return the environment without REGISTRY_*, which the registry reads as its configuration."""
        return {key: value for key, value in os.environ.items() if not key.startswith("REGISTRY_")}

    def ready(self, process: Process, output: str) -> bool:
        return f"listening on {self.address}:{process.port}" in output

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
            bundle = self.folder / "token.crt"
            bundle.write_bytes(auth.server.certificate)
            return {
                "token": {
                    "realm": auth.server.realm,
                    "service": auth.server.service,
                    "issuer": auth.server.issuer,
                    "rootcertbundle": str(bundle),
                }
            }
        entries = self.folder / "htpasswd"
        # The lowest cost that bcrypt has: the registry checks the password on each request.
        lines = (
            f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()}"
            for user, password in auth.users.items()
        )
        entries.write_text("\n".join(lines) + "\n")
        return {"htpasswd": {"realm": "tests", "path": str(entries)}}
