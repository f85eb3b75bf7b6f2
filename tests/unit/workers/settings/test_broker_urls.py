"""Broker, results and state: which URLs go together, and how each of their readers gets them."""

import pytest
import redis

from tasks.errors import SettingsInvalid
from workers.settings import Settings, load_settings


def load(**urls: str) -> Settings:
    return load_settings(
        {"HOME": "/home/someone"} | {f"IMAGEPUSHER_{name.upper()}_URL": url for name, url in urls.items()}
    )


def refusal(**urls: str) -> str:
    with pytest.raises(SettingsInvalid) as refused:
        load(**urls)
    return str(refused.value)


def test_results_and_state_go_to_the_broker_where_that_is_a_redis() -> None:
    settings = load(broker="redis://host:1/2")
    assert (settings.result_url, settings.state_url) == ("redis://host:1/2", "redis://host:1/2")


def test_state_goes_with_the_results_unless_it_has_a_url() -> None:
    settings = load(broker="redis://one/0", result="redis://two/0")
    assert (settings.broker_url, settings.state_url) == ("redis://one/0", "redis://two/0")
    assert load(broker="redis://one/0", result="redis://two/0", state="redis://three/0").state_url == "redis://three/0"


@pytest.mark.parametrize("broker", ["amqp://me:geheim@host//", "amqps://host/push"])
def test_rabbitmq_needs_a_redis_for_the_results(broker: str) -> None:
    message = refusal(broker=broker)
    assert "IMAGEPUSHER_RESULT_URL" in message
    assert "chord" in message
    assert "geheim" not in message
    settings = load(broker=broker, result="redis://host/0")
    assert (settings.broker_url, settings.state_url) == (broker, "redis://host/0")


def test_results_and_state_without_a_broker_are_refused() -> None:
    assert "IMAGEPUSHER_BROKER_URL" in refusal(result="redis://host/0")
    assert "IMAGEPUSHER_BROKER_URL" in refusal(state="redis://host/0")


@pytest.mark.parametrize("written", ["unix:///run/redis.sock?db=3", "redis+socket:///run/redis.sock?virtual_host=3"])
def test_a_socket_is_written_in_the_words_of_each_reader(written: str) -> None:
    settings = load(broker=written)
    assert settings.broker_url == settings.result_url == "redis+socket:///run/redis.sock?virtual_host=3"
    assert settings.state_url == "unix:///run/redis.sock?db=3"
    parsed = redis.ConnectionPool.from_url(settings.state_url).connection_kwargs
    assert (parsed["path"], parsed["db"]) == ("/run/redis.sock", 3)


def test_certificates_are_verified_unless_the_url_says_otherwise() -> None:
    """BEHAVIOUR 8.5."""
    assert load(broker="rediss://host/0").broker_url == "rediss://host/0?ssl_cert_reqs=required"
    assert load(broker="rediss://host/0?a=b").result_url == "rediss://host/0?a=b&ssl_cert_reqs=required"
    settings = load(broker="rediss://host/0?ssl_cert_reqs=CERT_NONE")
    assert settings.broker_url == "rediss://host/0?ssl_cert_reqs=CERT_NONE"
    assert settings.state_url == "rediss://host/0?ssl_cert_reqs=none"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("sqs://me:geheim@host", "IMAGEPUSHER_BROKER_URL): sqs:// is not supported; supported are redis://, rediss://"),
        ("geheim", "IMAGEPUSHER_BROKER_URL) is not a URL; supported are"),
        ("localhost:6379/geheim", "IMAGEPUSHER_BROKER_URL) is not a URL; supported are"),
        ("me:geheim@redis://host", "IMAGEPUSHER_BROKER_URL) is not a URL; supported are"),
        ("redis://:geheim/x@host/0", "IMAGEPUSHER_BROKER_URL) is not a valid URL"),
        ("redis://me:1234#geheim@host/0", "IMAGEPUSHER_BROKER_URL) is not a valid URL"),
        ("redis://me:1234?geheim@host/0", "IMAGEPUSHER_BROKER_URL) is not a valid URL"),
        ("redis://me:1234/geheim@host/0", "IMAGEPUSHER_BROKER_URL) is not a valid URL"),
        ("amqp://", "IMAGEPUSHER_BROKER_URL) is not a valid URL"),
    ],
)
def test_a_url_that_cannot_serve_is_refused_and_never_shown(url: str, fault: str) -> None:
    """BEHAVIOUR 6.7."""
    message = refusal(broker=url, result="redis://host/0")
    assert fault in message
    assert "geheim" not in message
    assert "1234" not in message


def test_rabbitmq_holds_neither_results_nor_state() -> None:
    message = refusal(broker="redis://host/0", result="amqp://host", state="amqp://host")
    assert "IMAGEPUSHER_RESULT_URL): amqp:// is not supported; supported are redis://" in message
    assert "IMAGEPUSHER_STATE_URL): amqp:// is not supported" in message
