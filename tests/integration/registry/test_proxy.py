"""Registries that only a proxy of the environment reaches (BEHAVIOUR 8.7)."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from tasks.errors import ImagePusherError, RegistryUnavailable, SettingsInvalid
from tasks.registry.repository import Registries, Repository
from tasks.registry.settings import Proxy, RegistryConfiguration, RegistrySettings
from tests.conftest import MakeRegistry
from tests.integration.registry.clients import ANONYMOUS, QUICK, bring
from tests.support.certificates import Authority
from tests.support.forward_proxy import ForwardProxy
from tests.support.images import Image, image, layer
from tests.support.registries import DistributionRegistry
from tests.support.socks_proxy import SocksProxy
from tests.support.stored import Stored, upload

_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def made(name: str) -> Image:
    return image(layers=[layer(name, 300_000)])


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForwardProxy]:
    with ForwardProxy("user:hunter2") as running:
        for name in _VARIABLES:
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@{running.host}")
        monkeypatch.setenv("HTTP_PROXY", f"http://user:hunter2@{running.host}")
        yield running


@pytest.fixture
def socks(monkeypatch: pytest.MonkeyPatch) -> Iterator[SocksProxy]:
    with SocksProxy("user:hunter2") as running:
        for name in _VARIABLES:
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setenv("ALL_PROXY", f"socks5h://user:hunter2@{running.host}")
        yield running


def behind(registry: DistributionRegistry, host: str = "registry.invalid") -> str:
    """Return a name of the registry that nobody but the proxy resolves."""
    return f"{host}:{registry.port}"


def client(registry: str, name: str, settings: RegistrySettings, proxy: Proxy = "environment") -> Repository:
    limits = structs.replace(QUICK, tries=1)
    configuration = RegistryConfiguration({registry: settings}, limits=limits, proxy=proxy)
    return Registries(configuration).repository(registry, name, "destination", push=True)


def copied_from_behind(make_registry: MakeRegistry, folder: Path, name: str, made: Image, *, by_tls: bool) -> str:
    """Copy an image within a registry that only a proxy can name, and return that name."""
    authority = Authority(folder)
    registry = make_registry(tls=authority.certificates() if by_tls else None)
    verify = str(authority.path) if by_tls else None
    upload(registry.host, name, made, "latest", verify=verify)
    far = behind(registry)
    # The certificate is for this machine's names, not for the one that the proxy resolves.
    settings = structs.replace(ANONYMOUS, tls_verify=not by_tls, plain_http=not by_tls)
    bring(client(far, name, settings), client(far, f"{name}/copy", settings), made)
    assert Stored(registry.host, verify=verify).holds(f"{name}/copy", "latest")
    return far


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_image_is_copied_by_the_proxy(
    make_registry: MakeRegistry, proxy: ForwardProxy, tmp_path: Path, name: str, made: Image, scheme: str
) -> None:
    far = copied_from_behind(make_registry, tmp_path, name, made, by_tls=scheme == "https")
    assert {host for _, host in proxy.asked} == {far}
    assert ("CONNECT", far) in proxy.asked if scheme == "https" else ("PUT", far) in proxy.asked


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_image_is_copied_by_a_proxy_that_speaks_tls(
    make_registry: MakeRegistry,
    proxy: ForwardProxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    made: Image,
    scheme: str,
) -> None:
    """The proxy is verified by the authorities of the machine, whatever the settings say of the registry."""
    authority = Authority(tmp_path / "proxy")
    with ForwardProxy("user:hunter2", tls=authority.issue("server")) as secure:
        for variable in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(variable, f"https://user:hunter2@{secure.host}")
        settings = structs.replace(ANONYMOUS, tls_verify=False, plain_http=scheme == "http")
        with pytest.raises(ImagePusherError, match="the certificate cannot be verified"):
            client("registry.invalid:5000", name, settings).resolve("latest")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
        far = copied_from_behind(make_registry, tmp_path, name, made, by_tls=scheme == "https")
        assert {host for _, host in secure.asked} == {far}
    assert proxy.asked == []


def test_a_proxy_that_is_not_used_is_told_of_in_the_error_that_follows(proxy: ForwardProxy, name: str) -> None:
    settings = structs.replace(ANONYMOUS, plain_http=True)
    with pytest.raises(RegistryUnavailable, match=r"not used: `http\.proxy` is \"none\"\): the name of the host"):
        client("registry.invalid:5000", name, settings, "none").resolve("latest")
    assert proxy.asked == []


def test_a_proxy_that_does_not_answer_is_named_without_its_password(
    proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """BEHAVIOUR 6.7."""
    monkeypatch.setenv("HTTP_PROXY", "http://user:hunter2@127.0.0.1:9")
    with pytest.raises(RegistryUnavailable, match=r"by the proxy 127\.0\.0\.1:9: connection refused") as raised:
        client("registry.invalid:5000", name, structs.replace(ANONYMOUS, plain_http=True)).resolve("latest")
    assert "hunter2" not in str(raised.value)


def test_a_proxy_that_refuses_says_so(proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:wrong@{proxy.host}")
    with pytest.raises(ImagePusherError, match="the proxy answered 407"):
        client("registry.invalid:5000", name, structs.replace(ANONYMOUS, plain_http=False)).resolve("latest")


@pytest.mark.parametrize(
    "named",
    ["socks://127.0.0.1:9", "ftp://127.0.0.1:9", "http://", "socks5://", "http://host:port", "user:hunter2@[::1"],
)
def test_what_is_no_proxy_is_an_error_of_the_settings(
    proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, name: str, named: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", named)
    with pytest.raises(SettingsInvalid, match="is not the URL of a proxy") as raised:
        client("registry.invalid:5000", name, structs.replace(ANONYMOUS, plain_http=True)).resolve("latest")
    assert "hunter2" not in str(raised.value)


def test_this_machine_and_what_no_proxy_names_are_reached_directly(
    proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, registry_a: DistributionRegistry, name: str
) -> None:
    assert client(registry_a.host, name, ANONYMOUS).resolve("latest") is None
    monkeypatch.setenv("NO_PROXY", ".invalid")
    with pytest.raises(RegistryUnavailable, match=r"/v2/: the name of the host cannot be resolved"):
        client("registry.invalid:5000", name, structs.replace(ANONYMOUS, plain_http=True)).resolve("latest")
    assert proxy.asked == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_image_is_copied_by_a_socks_proxy(
    make_registry: MakeRegistry, socks: SocksProxy, tmp_path: Path, name: str, made: Image, scheme: str
) -> None:
    """By socks5h: nobody but the proxy resolves the name."""
    far = copied_from_behind(make_registry, tmp_path, name, made, by_tls=scheme == "https")
    assert set(socks.asked) == {far}


def test_by_socks5_this_side_resolves_the_name(socks: SocksProxy, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5://user:hunter2@{socks.host}")
    with pytest.raises(RegistryUnavailable, match=r"by the proxy 127\.0\.0\.1:\d+: the name of the host cannot"):
        client("registry.invalid:5000", name, structs.replace(ANONYMOUS, plain_http=True)).resolve("latest")
    assert socks.asked == []


@pytest.mark.parametrize(
    ("pair", "host", "reason"),
    [
        ("user:wrong", "", "the proxy answered: SOCKS5 authentication failed"),
        ("", "", "the proxy answered: All offered SOCKS5 authentication methods were rejected"),
        ("user:hunter2", "", "the proxy answered: 0x04: Host unreachable"),
        ("user:hunter2", "127.0.0.1:9", r"by the proxy 127\.0\.0\.1:9: connection refused"),
    ],
)
def test_why_a_socks_proxy_does_not_serve_is_told_without_its_password(
    socks: SocksProxy, monkeypatch: pytest.MonkeyPatch, name: str, pair: str, host: str, reason: str
) -> None:
    """BEHAVIOUR 6.7."""
    socks.refuse()
    monkeypatch.setenv("ALL_PROXY", f"socks5h://{pair}{'@' if pair else ''}{host or socks.host}")
    with pytest.raises(RegistryUnavailable, match=reason) as raised:
        client("registry.invalid:5000", name, structs.replace(ANONYMOUS, plain_http=True)).resolve("latest")
    assert pair.partition(":")[2] not in str(raised.value) or not pair


@pytest.mark.parametrize("proxy_url", ["socks5://127.0.0.1:9", "SOCKS5H://user:hunter2@127.0.0.1:9"])
def test_without_its_library_a_socks_proxy_is_refused(
    socks: SocksProxy, monkeypatch: pytest.MonkeyPatch, name: str, proxy_url: str
) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.setenv("ALL_PROXY", proxy_url)
    with pytest.raises(SettingsInvalid, match=r"SOCKS proxy 127\.0\.0\.1:9 .*'\.\[socks\]'") as raised:
        client("registry.invalid:5000", name, structs.replace(ANONYMOUS, plain_http=True)).resolve("latest")
    assert "hunter2" not in str(raised.value)
