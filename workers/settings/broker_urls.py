"""The URLs of broker, results and state: which may stand together, and how each of their readers spells them."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_SOCKETS: Final = ("redis+socket", "unix")
_REDIS: Final = ("redis", "rediss", *_SOCKETS)
_RABBITMQ: Final = ("amqp", "amqps")


@dataclass(frozen=True)
class BrokerUrls:
    """Where messages, results and state go; all None means embedded. Never shown by repr: they may hold passwords."""

    broker: str | None = field(default=None, repr=False)
    result: str | None = field(default=None, repr=False)
    state: str | None = field(default=None, repr=False)


def read_urls(broker: str | None, result: str | None, state: str | None, faults: list[str]) -> BrokerUrls:
    """Return the URLs that a push uses, each in its reader's words; a fault never shows a URL."""
    schemes = [
        _scheme("broker.url (IMAGEPUSHER_BROKER_URL)", broker, _REDIS + _RABBITMQ, faults),
        _scheme("broker.result_url (IMAGEPUSHER_RESULT_URL)", result, _REDIS, faults),
        _scheme("broker.state_url (IMAGEPUSHER_STATE_URL)", state, _REDIS, faults),
    ]
    if broker is None:
        if result or state:
            faults.append(
                "broker.result_url and broker.state_url are of no use without broker.url (IMAGEPUSHER_BROKER_URL)"
            )
        return BrokerUrls()
    if schemes[0] in _RABBITMQ and result is None:
        faults.append(
            "broker.result_url (IMAGEPUSHER_RESULT_URL) is missing: with RabbitMQ as the broker it must be a Redis,"
            " because a push is a Celery chord and RabbitMQ cannot hold the results of one"
        )
    result = result or broker
    return BrokerUrls(_for_celery(broker), _for_celery(result), for_redis(state or result))


def _scheme(place: str, url: str | None, supported: tuple[str, ...], faults: list[str]) -> str | None:
    if url is None:
        return None
    scheme, separator, _ = url.partition("://")
    if not separator or not re.fullmatch(r"[a-z][a-z0-9+.-]{0,19}", scheme):
        faults.append(f"{place} is not a URL; supported are {_listed(supported)}")
    elif scheme not in supported:
        faults.append(f"{place}: {scheme}:// is not supported; supported are {_listed(supported)}")
    elif not _is_whole(url):
        faults.append(
            f"{place} is not a valid URL; in a user's name or password, write / # ? : @ as %2F %23 %3F %3A %40"
        )
    return scheme


def _is_whole(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        # Looking at the port reads it.
        return (
            parts.port != 0
            and "@" not in parts.path + parts.query + parts.fragment
            and (bool(host) or parts.scheme in _SOCKETS)
        )
    except ValueError:
        return False


def _listed(schemes: tuple[str, ...]) -> str:
    return ", ".join(f"{scheme}://" for scheme in schemes)


def _for_celery(url: str) -> str:
    """Return `url` as kombu and Celery's result store read it: a socket is redis+socket:// with a `virtual_host`.

    Of rediss:// without `ssl_cert_reqs` Celery's result store refuses the URL, and kombu verifies no certificate.
    """
    scheme, _, rest = url.partition("://")
    if scheme in _SOCKETS:
        return "redis+socket://" + re.sub(r"([?&])db=", r"\1virtual_host=", rest)
    if scheme == "rediss" and "ssl_cert_reqs=" not in url:
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
    return url


def for_redis(url: str) -> str:
    """Return `url` as redis-py reads it: a socket is unix:// with a `db`, and checks of certificates in its words."""
    scheme, _, rest = url.partition("://")
    if scheme in _SOCKETS:
        return "unix://" + re.sub(r"([?&])virtual_host=", r"\1db=", rest)
    return re.sub(r"(?<=ssl_cert_reqs=)CERT_\w+", lambda match: match[0].removeprefix("CERT_").lower(), url)


def place_of(url: str) -> str:
    """Return where a URL leads, without user and password: host, port and database, or the path of a socket."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
