"""Broker, results and state: which URLs go together, and how each of their readers gets them."""

import ssl
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from tasks.errors import SettingsInvalid
from workers.broker.celery_url import for_celery
from workers.broker.redis_client import connect, open_redis
from workers.settings import Settings, load_settings
from workers.settings.broker_urls import for_redis, place_of


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
    unnamed = load(broker="rediss://host/0?ssl_check_hostname=false").result_url
    assert unnamed == "rediss://host/0?ssl_cert_reqs=required&ssl_check_hostname=false"
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


@pytest.mark.parametrize("database", ["abc", "0/1", "-1", "1.5", "0x1", "?db=x", "?db=1&virtual_host=2"])
def test_a_database_that_is_no_number_is_refused_with_the_reason(database: str) -> None:
    assert "database" in refusal(broker=f"redis://host/{database}".replace("/?", "?"))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("redis://host", "redis://host"),
        ("redis://host/", "redis://host/"),
        ("redis://host/7", "redis://host/7"),
        ("redis://host?db=7", "redis://host/7"),
        ("redis://user:p%2Fw@[::1]:6379/0", "redis://user:p%2Fw@[::1]:6379/0"),
        ("redis://host/0?virtual_host=0", "redis://host/0"),
        ("redis+socket://:word@/run/redis.sock", "redis+socket://:word@/run/redis.sock"),
    ],
)
def test_a_redis_has_its_database_in_one_place(written: str, read: str) -> None:
    assert load(broker=written).broker_url == read


@pytest.mark.parametrize("path", ["", "/", "//", "/push", "/a/b", "/%2F", "/push?login_method=EXTERNAL"])
def test_a_rabbitmq_may_have_any_virtual_host(path: str) -> None:
    broker = f"amqp://me:geheim@host:5673{path}"
    assert load(broker=broker, result="redis://host/0").broker_url == broker


@pytest.mark.parametrize(
    "written",
    [
        "sentinel://me:geheim@one:26379,two,[::1]:5/3",
        "sentinel://me:geheim@one:26379/3;sentinel://me:geheim@two:26379/3;sentinel://[::1]:5/3",
        "sentinel://me:geheim@one/3;two;[::1]:5",
    ],
)
def test_sentinels_are_written_with_commas_or_as_celery_does(written: str) -> None:
    settings = load_settings(
        {"HOME": "/h", "IMAGEPUSHER_BROKER_URL": written, "IMAGEPUSHER_SENTINEL_MASTER": "primary"}
    )
    whole = "sentinel://me:geheim@one:26379,two:26379,[::1]:5/3?master_name=primary"
    assert settings.broker_url == settings.result_url == settings.state_url == whole
    told = for_celery(whole)
    assert told.url.split(";") == [f"sentinel://me:geheim@{host}/3" for host in ("one:26379", "two:26379", "[::1]:5")]
    assert (told.options, told.tls) == ({"master_name": "primary"}, None)


def test_sentinels_need_the_name_of_their_primary() -> None:
    assert "broker.sentinel_master" in refusal(broker="sentinel://one,two/0")
    assert load(broker="sentinel://one/0?master_name=mine").state_url == "sentinel://one:26379/0?master_name=mine"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / name).touch(mode=0o600)
    return {
        "IMAGEPUSHER_BROKER_CA_FILE": f"{tmp_path}/ca.pem",
        "IMAGEPUSHER_BROKER_CLIENT_CERTIFICATE": f"{tmp_path}/client.pem",
        "IMAGEPUSHER_BROKER_CLIENT_KEY": f"{tmp_path}/client.key",
    }


def load_tls(files: dict[str, str], broker: str, result: str = "") -> Settings:
    urls = {"IMAGEPUSHER_BROKER_URL": broker, "IMAGEPUSHER_RESULT_URL": result}
    return load_settings({"HOME": "/h", "IMAGEPUSHER_SENTINEL_MASTER": "primary"} | urls | files)


def test_an_authority_and_a_client_certificate_go_to_every_reader(files: dict[str, str], tmp_path: Path) -> None:
    """BEHAVIOUR 8.5."""
    settings = load_tls(files, "amqps://host/push", "rediss://host/0")
    told = for_celery(settings.broker_url or "")
    assert told.url == "amqps://host/push"
    assert told.tls == {
        "ca_certs": f"{tmp_path}/ca.pem",
        "certfile": f"{tmp_path}/client.pem",
        "keyfile": f"{tmp_path}/client.key",
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": None,
    }
    known = redis.ConnectionPool.from_url(settings.state_url or "").connection_kwargs
    assert (known["ssl_ca_certs"], known["ssl_certfile"]) == (f"{tmp_path}/ca.pem", f"{tmp_path}/client.pem")
    assert (known["ssl_keyfile"], known["ssl_cert_reqs"]) == (f"{tmp_path}/client.key", "required")


def test_sentinels_are_reached_by_tls_where_an_authority_is_named(files: dict[str, str], tmp_path: Path) -> None:
    told = for_celery(load_tls(files, "sentinel://one/0").broker_url or "")
    assert told.tls is not None
    assert (told.tls["ssl_ca_certs"], told.tls["ssl_cert_reqs"]) == (f"{tmp_path}/ca.pem", ssl.CERT_REQUIRED)
    assert told.options["sentinel_kwargs"] == {"ssl": True, **told.tls}


def test_an_authority_without_tls_is_refused(files: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid, match=r"broker\.ca_file .* need rediss://"):
        load_tls(files, "redis://host/0")
    with pytest.raises(SettingsInvalid, match=r"broker: client_certificate needs client_key beside it"):
        load_tls(files | {"IMAGEPUSHER_BROKER_CLIENT_KEY": ""}, "rediss://host/0")


def test_rabbitmq_by_tls_verifies_host_and_certificate_unless_its_url_says_otherwise(tmp_path: Path) -> None:
    """BEHAVIOUR 8.5."""
    (tmp_path / "ca.pem").touch()
    assert for_celery("amqps://host//").tls == {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
    broker = f"amqps://host//?ssl_ca_certs={tmp_path}/ca.pem&ssl_check_hostname=false"
    told = for_celery(load(broker=broker, result="redis://host/0").broker_url or "")
    assert (told.url, told.tls) == (
        "amqps://host//",
        {"ca_certs": f"{tmp_path}/ca.pem", "cert_reqs": ssl.CERT_REQUIRED},
    )
    assert for_celery("amqps://host//?ssl_cert_reqs=none").tls == {"cert_reqs": ssl.CERT_NONE}


@pytest.mark.parametrize(
    ("broker", "fault"),
    [
        ("redis://host/0?ssl_ca_certs=/ca", "has the parameter 'ssl_ca_certs', which is not known"),
        ("redis://host/0?socket_timeout=5", "has the parameter 'socket_timeout', which is not known"),
        ("rediss://host/0?ssl_ca_certs=/no/such/file", "the parameter ssl_ca_certs names no file that is there"),
        ("rediss://host/0?ssl_cert_reqs=maybe", "the parameter ssl_cert_reqs must be one of required, optional, none"),
        ("amqps://host/0?ssl_keyfile=/no/such/file", "the parameter ssl_keyfile names no file that is there"),
        ("amqp://host/0?heartbeat=5", "has the parameter 'heartbeat', which is not known"),
        ("amqp://host/0?ssl_ca_certs=/ca", "TLS is spoken with rediss:// and amqps://"),
        ("sentinel://,/0?master_name=x", "is not a valid URL"),
        ("redis+socket:///", "is not a valid URL"),
    ],
)
def test_a_parameter_that_is_not_understood_is_refused_with_those_that_are(broker: str, fault: str) -> None:
    assert fault in refusal(broker=broker, result="redis://host/0")


@given(
    st.sampled_from(["redis", "rediss", "sentinel", "redis+socket", "unix", "amqp", "amqps", "x", ""]),
    st.text(st.sampled_from("ab1:/@?#[]%=&;,.-_ \n\0é"), max_size=20) | st.text(max_size=10),
)
def test_any_text_is_an_address_or_refused(scheme: str, rest: str) -> None:
    """No text that a user may write ends in anything but settings that all readers take, or a refusal."""
    environment = {"HOME": "/h", "IMAGEPUSHER_BROKER_URL": f"{scheme}://{rest}", "IMAGEPUSHER_SENTINEL_MASTER": "m"}
    try:
        settings = load_settings(environment | {"IMAGEPUSHER_RESULT_URL": "redis://host/0"})
    except SettingsInvalid:
        return
    told = for_celery(settings.broker_url or "")
    Connection(told.url, ssl=dict(told.tls or {}), transport_options=dict(told.options)).info()
    if scheme not in {"amqp", "amqps"}:
        open_redis(for_redis(settings.broker_url or ""), socket_timeout=1, socket_connect_timeout=1)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://me:geheim@host:1/2?x=y", "host:1/2"),
        ("redis+socket://:geheim@/run/redis.sock?virtual_host=1", "/run/redis.sock"),
        ("sentinel://me:geheim@one:1,two:2/3?master_name=m", "one:1,two:2/3"),
        ("sentinel://me:geheim@one:1/3;sentinel://me:geheim@two:2/3", "one:1/3,two:2/3"),
        ("amqps://me:geheim@host//", "host//"),
    ],
)
def test_a_place_shows_no_user(url: str, place: str) -> None:
    """BEHAVIOUR 6.7."""
    assert place_of(url) == place


@pytest.mark.parametrize(
    "broker",
    ["redis://h/1", "rediss://h/1", "redis+socket:///run/redis.sock?virtual_host=1", "unix:///run/redis.sock?db=1"],
)
def test_a_connection_to_every_form_of_redis_can_be_made(broker: str) -> None:
    with connect(load(broker=broker), 0) as client:
        assert client.connection_pool.make_connection().db == 1
