"""The URLs of broker, results and state: their valid combinations, and their form for each library."""

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from tasks.discreet import Discreet
from workers.settings.broker_address import (
    MASTER,
    RABBITMQ,
    REDIS,
    SENTINEL,
    SOCKETS,
    TLS,
    BrokerAddress,
    read_address,
    split_address,
)

_VERIFY: Final = "ssl_cert_reqs"


class BrokerUrls(Discreet, frozen=True):
    """The URLs for messages, results and state; all None means embedded. repr hides them: they may hold passwords."""

    _hidden: ClassVar = frozenset({"broker", "result", "state"})

    broker: str | None = None
    result: str | None = None
    state: str | None = None


class BrokerOptions(msgspec.Struct, frozen=True):
    """The settings besides the URLs: TLS parameters, and the Sentinels' name for the primary."""

    tls: Mapping[str, str] = msgspec.field(default_factory=dict)
    sentinel_master: str | None = None


def read_urls(
    broker: str | None, result: str | None, state: str | None, options: BrokerOptions, faults: list[str]
) -> BrokerUrls:
    """Return the URLs of a push, each in the form of its library; a fault never shows a URL."""
    addresses = [
        _read("broker.url (IMAGEPUSHER_BROKER_URL)", broker, REDIS + RABBITMQ, options, faults),
        _read("broker.result_url (IMAGEPUSHER_RESULT_URL)", result, REDIS, options, faults),
        _read("broker.state_url (IMAGEPUSHER_STATE_URL)", state, REDIS, options, faults),
    ]
    if broker is None:
        if result or state:
            faults.append(
                "broker.result_url and broker.state_url are of no use without broker.url (IMAGEPUSHER_BROKER_URL)"
            )
        return BrokerUrls()
    of_broker, of_result, of_state = addresses
    if broker.startswith("amqp") and result is None:
        faults.append(
            "broker.result_url (IMAGEPUSHER_RESULT_URL) is missing: with RabbitMQ as the broker it must be a Redis,"
            " because a push is a Celery chord and RabbitMQ cannot hold the results of one"
        )
    if options.tls and all(address is None or not address.encrypted for address in addresses):
        faults.append("broker.ca_file and broker.client_certificate need rediss://, amqps:// or sentinel://")
    if of_broker is None:
        return BrokerUrls()
    of_result = of_result or of_broker
    return BrokerUrls(_for_celery(of_broker), _for_celery(of_result), for_redis((of_state or of_result).url))


def _read(
    place: str, url: str | None, supported: tuple[str, ...], options: BrokerOptions, faults: list[str]
) -> BrokerAddress | None:
    if url is None:
        return None
    try:
        address = read_address(url, supported)
    except ValueError as error:
        faults.append(f"{place}{error}")
        return None
    if address.scheme in TLS:
        address = address.with_parameters(options.tls)
    if address.scheme == SENTINEL:
        if options.sentinel_master:
            address = address.with_parameters({MASTER: options.sentinel_master})
        if MASTER not in address.query:
            faults.append(f"{place}: Sentinels know several primaries; broker.sentinel_master names the one to use")
    # Without this parameter, Celery's result store refuses the URL, and kombu verifies no certificate.
    verifies = address.scheme in REDIS and address.encrypted
    return address.with_parameters({_VERIFY: "required"}) if verifies else address


def _for_celery(address: BrokerAddress) -> str:
    """Return an address in the form of kombu and Celery: a socket is redis+socket:// with `virtual_host`.

    Sentinels, and RabbitMQ with TLS, also have options outside the URL (workers/broker/celery_url.py).
    """
    return msgspec.structs.replace(address, scheme="redis+socket").url if address.scheme in SOCKETS else address.url


def for_redis(url: str) -> str:
    """Return `url` in redis-py's form: a socket is unix:// with a `db`, and certificate checks have its names."""
    address = split_address(url)
    query = dict(address.query)
    if address.scheme in SOCKETS:
        query = {"db" if name == "virtual_host" else name: value for name, value in query.items()}
        return msgspec.structs.replace(address, scheme="unix", query=query).url
    if _VERIFY in query:
        query[_VERIFY] = query[_VERIFY].removeprefix("CERT_").lower()
    return msgspec.structs.replace(address, query=query).url


def place_of(url: str) -> str:
    """Return the location of a URL, without user and password: hosts, port and database, or the path of a socket."""
    # In Celery's form, each Sentinel has its own URL.
    addresses = map(split_address, url.split(";"))
    return ",".join(f"{','.join(address.hosts)}{address.path}" for address in addresses)
