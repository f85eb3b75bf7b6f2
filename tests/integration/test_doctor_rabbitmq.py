"""What the doctor says of a real RabbitMQ: that it answers is not enough for a push."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from kombu import Connection, Queue

from tests.support.certificates import Authority
from tests.support.rabbitmq import RabbitMQ
from workers.doctor.finding import Finding
from workers.doctor.rabbitmq import examine_rabbitmq
from workers.settings import load_settings

PASSWORD: Final = "not-to-be-shown"


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitMQ]:
    with RabbitMQ() as running:
        yield running


def examined(url: str, **more: str) -> list[Finding]:
    redis = "redis://127.0.0.1:1/0"
    names = {"BROKER_URL": url, "RESULT_URL": redis, "STATE_URL": redis} | more
    return list(examine_rabbitmq(load_settings({f"IMAGEPUSHER_{name}": value for name, value in names.items()})))


def url_of(node: RabbitMQ, user: str, *permissions: str) -> str:
    """Return the URL for a new user of these permissions: to configure, to write and to read."""
    node.control("add_user", user, PASSWORD)
    node.control("set_permissions", user, *permissions)
    return f"amqp://{user}:{PASSWORD}@127.0.0.1:{node.port}//"


def levels(findings: list[Finding]) -> list[tuple[str, str]]:
    assert PASSWORD not in repr(findings)
    return [(finding.check, finding.level) for finding in findings]


def test_one_that_lets_the_user_do_all_is_fine_and_its_queues_stay_empty(node: RabbitMQ) -> None:
    """A user needs no more than what is named like this application."""
    findings = examined(url_of(node, "strong", *["^imagepusher"] * 3))
    assert levels(findings) == [("broker.reachable", "ok"), ("broker.writable", "ok")]
    with Connection(node.url) as connection:
        channel: Any = connection.channel()
        assert channel.queue_declare("imagepusher.push", passive=True).message_count == 0


@pytest.mark.parametrize(
    ("user", "permissions"),
    [("nothing", ["", "", ""]), ("reader", [".*", "", ".*"]), ("writer", ["", ".*", ""])],
)
def test_a_user_without_rights_is_an_error_that_says_how_to_give_them(
    node: RabbitMQ, user: str, permissions: list[str]
) -> None:
    findings = examined(url_of(node, user, *permissions))
    assert levels(findings) == [("broker.reachable", "ok"), ("broker.writable", "error")]
    assert "ACCESS_REFUSED" in findings[-1].found
    assert f"set_permissions -p VHOST {user}" in findings[-1].advice


def test_a_queue_of_another_kind_is_an_error(node: RabbitMQ) -> None:
    node.control("add_vhost", "other")
    node.control("set_permissions", "-p", "other", "guest", ".*", ".*", ".*")
    url = f"amqp://guest:guest@127.0.0.1:{node.port}/other"
    with Connection(url) as connection:
        Queue("imagepusher.copy", channel=connection.channel()).declare()
    findings = examined(url)
    assert levels(findings) == [("broker.reachable", "ok"), ("broker.writable", "error")]
    assert "imagepusher.copy" in findings[-1].found
    assert "delete" in findings[-1].advice


def test_an_alarm_that_blocks_publishing_is_an_error(node: RabbitMQ) -> None:
    node.control("set_vm_memory_high_watermark", "0.0000001")
    try:
        findings = examined(node.url)
    finally:
        node.control("set_vm_memory_high_watermark", "0.4")
    assert levels(findings) == [("broker.reachable", "ok"), ("broker.writable", "error")]
    assert "memory or disk" in findings[-1].found


def test_one_that_wants_a_client_certificate_is_reached_with_those_of_the_settings(tmp_path: Path) -> None:
    """BEHAVIOUR 8.5."""
    authority, stranger = Authority(tmp_path / "authority"), Authority(tmp_path / "stranger", "stranger")
    client = authority.issue("client")
    client.key.chmod(0o600)
    tls = {
        "BROKER_CA_FILE": str(authority.path),
        "BROKER_CLIENT_CERTIFICATE": str(client.certificate),
        "BROKER_CLIENT_KEY": str(client.key),
    }
    with RabbitMQ(authority.certificates(require_client=True)) as node:
        url = f"amqps://guest:guest@127.0.0.1:{node.tls_port}//"
        assert levels(examined(url, **tls)) == [("broker.reachable", "ok"), ("broker.writable", "ok")]
        by_query = f"{url}?ssl_ca_certs={authority.path}&ssl_certfile={client.certificate}&ssl_keyfile={client.key}"
        assert levels(examined(by_query)) == [("broker.reachable", "ok"), ("broker.writable", "ok")]
        for fewer in ({"BROKER_CA_FILE": str(authority.path)}, tls | {"BROKER_CA_FILE": str(stranger.path)}):
            assert levels(examined(url, **fewer)) == [("broker.reachable", "error")]
