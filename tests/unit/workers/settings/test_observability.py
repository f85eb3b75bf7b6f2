"""Settings of logs, metrics and traces: all of it is off, or decides itself, unless they say otherwise."""

from pathlib import Path

import pytest

from tasks.errors import SettingsInvalid
from workers.settings import load_settings
from workers.settings.observability import Address, Observability

HOME = {"HOME": "/home/someone"}


def read(text: str = "", **environment: str) -> Observability:
    return load_settings(HOME | environment).observability if not text else _of_file(text, environment)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write settings files into a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


def _of_file(text: str, environment: dict[str, str]) -> Observability:
    Path("imagepusher.toml").write_text(text)
    return load_settings(HOME | environment, "imagepusher.toml").observability


def test_metrics_and_traces_are_off_and_the_format_is_chosen_by_the_terminal() -> None:
    assert read() == Observability("auto", None, None)
    assert read("[metrics]\naddress = ''\n[tracing]\nendpoint = ''") == Observability()


def test_a_file_turns_them_on_and_the_environment_wins() -> None:
    text = """
        [logs]
        format = "json"
        [metrics]
        address = "127.0.0.1:9540"
        [tracing]
        endpoint = "http://collector.example:4318"
    """
    expected = Observability("json", Address("127.0.0.1", 9540), "http://collector.example:4318/v1/traces")
    assert read(text) == expected
    changed = read(
        text,
        IMAGEPUSHER_LOG_FORMAT="console",
        IMAGEPUSHER_METRICS_ADDRESS=":0",
        IMAGEPUSHER_TRACING_ENDPOINT="https://other.example/otlp/",
    )
    assert changed == Observability("console", Address("", 0), "https://other.example/otlp/v1/traces")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9540", Address("127.0.0.1", 9540)),
        ("[::1]:0", Address("::1", 0)),
        (":9540", Address("", 9540)),
        ("worker.example:65535", Address("worker.example", 65535)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: Address) -> None:
    assert read(IMAGEPUSHER_METRICS_ADDRESS=text).metrics == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["9540", "127.0.0.1", "127.0.0.1:", "host:http", "host:65536", "host:-1", "::1:9540"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"metrics\.address: .* is not an address such as 127\.0\.0\.1:9540"):
        read(IMAGEPUSHER_METRICS_ADDRESS=text)


@pytest.mark.parametrize("text", ["collector:4318", "grpc://collector:4317", "http://", "http://[", "/v1/traces"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"tracing\.endpoint: .* is not a URL"):
        read(IMAGEPUSHER_TRACING_ENDPOINT=text)


def test_an_endpoint_may_name_its_path_itself() -> None:
    endpoint = "http://collector.example/v1/traces"
    assert read(IMAGEPUSHER_TRACING_ENDPOINT=endpoint).tracing == endpoint


def test_an_endpoint_with_a_password_is_refused_without_showing_it() -> None:
    """Rule 6.7."""
    with pytest.raises(SettingsInvalid, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        read(IMAGEPUSHER_TRACING_ENDPOINT="http://me:Gehe1m@collector.example:4318")
    assert "Gehe1m" not in str(refused.value)


def test_a_format_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(SettingsInvalid, match="IMAGEPUSHER_LOG_FORMAT: expected auto or json or console"):
        read(IMAGEPUSHER_LOG_FORMAT="xml")
    with pytest.raises(SettingsInvalid, match=r"logs\.format: expected auto or json or console"):
        read("logs.format = 'xml'")
