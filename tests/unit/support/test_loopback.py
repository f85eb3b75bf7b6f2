import pytest

from tests.support import loopback
from tests.support.scripted import ScriptedRegistry


def test_a_port_is_not_used_again_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    lower_half = set(range(46_000))
    monkeypatch.setattr(loopback, "_USED_PORTS", lower_half)
    ports = []
    for _ in range(20):
        with ScriptedRegistry() as server:
            ports.append(int(server.host.rpartition(":")[2]))
    assert min(ports) >= 46_000
    assert len(set(ports)) == 20
