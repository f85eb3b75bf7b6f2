"""Whatever the environment says of proxies: a way, or an error that names the variables (BEHAVIOUR 8.7)."""

import socket
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.errors import RegistryError, SettingsInvalid
from tasks.registry.http.connections import Connections
from tasks.registry.http.proxy import way_to
from tasks.registry.http.retry import Transient
from tasks.registry.settings import HttpLimits, RegistrySettings

PARTS = (
    "http://", "https://", "socks5://", "socks5h://", "SOCKS5://", "HTTPS://", "ftp:", "//", "u:hunter2@", "@", ":",
    "[", "]", "[::1]", "%00", "%", "127.0.0.1", ":9", ":x", ":99999", "h", "\xe9", " ", "\n", "?", "#", "/", "\\",
    "\u2028", "\uff11", "\udcff",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PARTS), max_size=6).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, scheme=st.sampled_from(["http", "https"]))
def test_any_text_is_a_proxy_or_refused(monkeypatch: pytest.MonkeyPatch, text: str, scheme: str) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", text)
    told = ""
    try:
        told = way_to(f"{scheme}://registry.example/v2/", uses_environment=True).told
    except SettingsInvalid as refusal:
        told = refusal.message
    assert "hunter2" not in told
    limits = HttpLimits(connect_timeout=1, idle_timeout=1)
    connections = Connections("registry.example", RegistrySettings(proxy="environment"), limits)
    with suppress(RegistryError, SettingsInvalid, Transient):
        connections.exchange("GET", f"{scheme}://registry.example/v2/", {})
