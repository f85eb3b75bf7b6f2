"""Whom a client believes a real registry to be, and how it is reached (BEHAVIOUR 8.5)."""

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tasks.errors import RegistryUnavailable, ResponseInvalid
from tasks.registry.settings import RegistrySettings
from tests.conftest import MakeRegistry
from tests.integration.registry.clients import ANONYMOUS, bring, client
from tests.support.certificates import Authority
from tests.support.images import Image, image, layer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload


@pytest.fixture
def made(name: str) -> Image:
    return image(layers=[layer(name, 300_000)])


def brought(registry: DistributionRegistry, name: str, made: Image, settings: RegistrySettings) -> None:
    source = client(registry.host, name, settings, "source")
    bring(source, client(registry.host, f"{name}/copy", settings), made)


def test_a_registry_is_verified_by_the_authority_of_the_settings(
    make_registry: MakeRegistry, tmp_path: Path, name: str, made: Image
) -> None:
    authority = Authority(tmp_path)
    registry = make_registry(tls=authority.certificates())
    upload(registry.host, name, made, "latest", verify=str(authority.path))
    brought(registry, name, made, structs.replace(ANONYMOUS, ca_file=str(authority.path)))
    assert Stored(registry.host, verify=str(authority.path)).holds(f"{name}/copy", "latest")


@pytest.mark.parametrize("by_name", [True, False])
def test_a_folder_in_dockers_layout_holds_authority_and_client_certificate(
    make_registry: MakeRegistry, tmp_path: Path, name: str, *, by_name: bool
) -> None:
    authority = Authority(tmp_path / "made")
    registry = make_registry(tls=authority.certificates(require_client=True))
    folder = tmp_path / "certs.d"
    files = folder / registry.host if by_name else folder
    files.mkdir(parents=True)
    pair = authority.issue("client")
    for source, called in ((authority.path, "ca.crt"), (pair.certificate, "me.cert"), (pair.key, "me.key")):
        shutil.copy(source, files / called)
    assert client(registry.host, name, structs.replace(ANONYMOUS, certificates=str(folder))).resolve("latest") is None


def test_a_registry_that_wants_a_client_certificate_is_shown_that_of_the_settings(
    make_registry: MakeRegistry, tmp_path: Path, name: str
) -> None:
    authority = Authority(tmp_path)
    registry = make_registry(tls=authority.certificates(require_client=True))
    pair = authority.issue("client")
    trusting = structs.replace(ANONYMOUS, ca_file=str(authority.path))
    introduced = structs.replace(trusting, client_certificate=str(pair.certificate), client_key=str(pair.key))
    assert client(registry.host, name, introduced).resolve("latest") is None
    with pytest.raises((ResponseInvalid, RegistryUnavailable)):
        client(registry.host, name, trusting).resolve("latest")


def test_a_registry_that_nobody_vouches_for_is_refused_unless_the_settings_say_otherwise(
    make_registry: MakeRegistry, tmp_path: Path, name: str
) -> None:
    registry = make_registry(tls=Authority(tmp_path).certificates())
    with pytest.raises(ResponseInvalid, match=r"certificate cannot be verified .*`ca_file`"):
        client(registry.host, name).resolve("latest")
    assert client(registry.host, name, structs.replace(ANONYMOUS, tls_verify=False)).resolve("latest") is None


@pytest.fixture
def far(registry_a: DistributionRegistry, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a name by which the registry is not on this machine, as far as anyone can tell."""
    resolve = socket.getaddrinfo

    def resolving(host: bytes, *more: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host == b"registry.example" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    return f"registry.example:{registry_a.host.rpartition(':')[2]}"


def test_plain_http_is_not_spoken_with_another_machine_unless_the_settings_say_so(
    far: str, registry_a: DistributionRegistry, name: str, made: Image
) -> None:
    upload(registry_a.host, name, made, "latest")
    before = registry_a.requests()
    with pytest.raises(ResponseInvalid, match=r"registry\.example.* TLS failed"):
        client(far, name).resolve("latest")
    assert registry_a.requests() == before
    for settings in (structs.replace(ANONYMOUS, plain_http=True), structs.replace(ANONYMOUS, tls_verify=False)):
        assert client(far, name, settings).resolve("latest") is not None
    with pytest.raises(ResponseInvalid, match="TLS failed"):
        client(far, name, structs.replace(ANONYMOUS, tls_verify=False, plain_http=False)).resolve("latest")


def test_plain_http_is_spoken_with_this_machine(registry_a: DistributionRegistry, name: str) -> None:
    port = registry_a.host.rpartition(":")[2]
    for host in (registry_a.host, f"localhost:{port}"):
        assert client(host, name).resolve("latest") is None
