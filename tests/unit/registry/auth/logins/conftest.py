"""A cloud's server, and accounts there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.scripted import ImprovisingRegistry
from tests.unit.registry.auth.logins.clouds import Vendor


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with ImprovisingRegistry() as server:
        found = Vendor(server)
        server.answer = found.answer
        yield found


@pytest.fixture
def service_account(vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "made-up",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "pusher@made-up.example",
        "client_id": "1",
        "token_uri": f"{vendor.server.url}/token",
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    return file


@pytest.fixture
def workload(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process the managed identity of an Azure workload."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{vendor.server.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "made-up")
