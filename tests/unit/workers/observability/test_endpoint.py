"""Metrics are served over HTTP where the settings say, and a worker runs on where they cannot be."""

import logging
import socket

import pytest
import requests
from prometheus_client import CollectorRegistry, Counter

from workers.observability.endpoint import MetricsServer, serve_metrics
from workers.settings.observability import Address

ANY = Address("127.0.0.1", 0)


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("eggs", "Eggs.", registry=registry).inc(3)
    return registry


def fetch(server: MetricsServer) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://{server.address}/metrics", timeout=30)


def end(server: MetricsServer | None) -> None:
    assert server is not None
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", ""])
def test_a_free_port_is_picked_and_logged(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    caplog.set_level(logging.INFO)
    server = serve_metrics(Address(host, 0), registry)
    assert server is not None
    try:
        assert server.address.port
        assert f"http://{server.address}/metrics" in caplog.text
        with requests.Session() as session:
            session.trust_env = False
            shown = "[::1]" if host == "::1" else "127.0.0.1"
            answer = session.get(f"http://{shown}:{server.address.port}/metrics", timeout=30)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "eggs_total 3.0" in answer.text
    finally:
        end(server)


def test_the_second_worker_at_one_address_says_so_and_serves_nothing(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    first = MetricsServer(ANY, registry)
    try:
        assert serve_metrics(first.address, CollectorRegistry()) is None
        (record,) = caplog.records
        assert record.levelname == "ERROR"
        assert f"not served at {first.address}: Address already in use; give each worker" in record.getMessage()
        assert "eggs_total" in fetch(first).text
    finally:
        end(first)


def test_an_address_that_is_not_of_this_machine_is_an_error_in_the_log(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    assert serve_metrics(Address("192.0.2.1", 0), registry) is None
    assert "check metrics.address" in caplog.text


def test_a_client_that_says_nothing_holds_up_nobody(registry: CollectorRegistry) -> None:
    server = MetricsServer(ANY, registry)
    try:
        with socket.create_connection((server.address.host, server.address.port)):
            assert "eggs_total" in fetch(server).text
    finally:
        end(server)


def test_a_client_that_goes_away_leaves_no_traceback(
    registry: CollectorRegistry, capfd: pytest.CaptureFixture[str]
) -> None:
    server = MetricsServer(ANY, registry)
    try:
        with socket.create_connection((server.address.host, server.address.port)) as client:
            # Closed with a reset.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.sendall(b"GET /metrics HT")
        assert fetch(server).status_code == 200
    finally:
        end(server)
    assert capfd.readouterr().err == ""
