"""The servers of clouds in place of their own, and a registry that asks for their logins."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tasks.registry.auth.authentication import Authentication
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.auth.logins.login import CloudLogin
from tasks.registry.auth.tokens import TokenSource
from tasks.registry.settings import Credentials, Login, RegistryConfiguration, RegistrySettings
from tests.support.scripted import Answer, ImprovisingRegistry, Received

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


GOOGLE = "europe-docker.pkg.dev"


AZURE = "example.azurecr.io"


PULL = frozenset({"repository:a:pull"})


def jwt(seconds: float) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


@dataclass
class Vendor:
    """The token servers of Google and Azure, as their libraries ask for them."""

    server: ImprovisingRegistry
    asked: list[Received] = field(default_factory=list)
    status: int = 200
    life: int = 3600

    def answer(self, received: Received) -> Answer:
        self.asked.append(received)
        said: dict[str, Any] = {"access_token": f"of-the-cloud-{len(self.asked)}", "token_type": "Bearer"}
        said |= {"expires_in": self.life, "expires_on": str(int(time.time()) + self.life)}
        if self.status != 200:
            said = {"error": "invalid_grant", "error_description": "this account is disabled"}
        return Answer(self.status, {"Content-Type": "application/json"}, json.dumps(said).encode())


class Registry:
    """A fake `send`: the token server of a registry, which asks for Bearer by itself."""

    def __init__(self, registry: str, identity: str = "") -> None:
        self.url = f"https://{registry}"
        self.identity = identity or jwt(10_800)
        self.requests: list[tuple[str, str, Mapping[str, str], dict[str, list[str]]]] = []
        self.statuses: list[int] = []

    def __call__(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.requests.append((method, url, headers, parse_qs((body or b"").decode())))
        status = self.statuses.pop(0) if self.statuses else 200
        said = {"refresh_token": self.identity} if url.endswith("/exchange") else {"token": f"t{len(self.requests)}"}
        return status, {}, json.dumps(said if status == 200 else {"errors": [{"message": "no"}]}).encode()

    def asked(self) -> list[str]:
        return [f"{method} {url.removeprefix(self.url).partition('?')[0]}" for method, url, _, _ in self.requests]


def authentication(registry: str, login: Login, send: Registry) -> Authentication:
    settings = RegistrySettings(credentials=Credentials(login=login))
    store = CredentialStore(RegistryConfiguration({registry: settings}))
    return Authentication(registry, "destination", store, TokenSource(send), CloudLogin(send))


def bearer(registry: str) -> str:
    return f'Bearer realm="https://{registry}/oauth2/token",service="{registry}"'
