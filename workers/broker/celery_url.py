"""URLs of the settings in Celery's form: a kombu URL, and options that such a URL cannot hold."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace

from workers.settings.broker_address import MASTER, SENTINEL, BrokerAddress, split_address

_VERIFY: Final = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}
_FILES: Final = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}


@dataclass(frozen=True)
class CeleryUrl:
    """A URL, its transport options and its TLS options (None if the URL holds them)."""

    url: str = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    tls: Mapping[str, Any] | None = None


def for_celery(url: str) -> CeleryUrl:
    """Return Celery's form of the URL of a broker or result store."""
    address = split_address(url)
    if address.scheme == SENTINEL:
        return _sentinels(address)
    if address.scheme == "amqps":
        rest = {name: value for name, value in address.query.items() if not name.startswith("ssl_")}
        return CeleryUrl(replace(address, query=rest).url, tls=_tls_of_amqp(address.query))
    return CeleryUrl(url)


def tls_of_redis(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the TLS parameters of an address under redis-py's names; empty without TLS."""
    tls: dict[str, Any] = {name: value for name, value in query.items() if name in _FILES}
    if "ssl_check_hostname" in query:
        tls["ssl_check_hostname"] = query["ssl_check_hostname"].lower() == "true"
    if "ssl_cert_reqs" in query:
        tls["ssl_cert_reqs"] = _verification(query)
    return tls


def _sentinels(address: BrokerAddress) -> CeleryUrl:
    """Return one URL for each Sentinel, in kombu's form; Sentinels use the connection options of their primary."""
    chunks = (replace(address, hosts=(host,), query={}).url for host in address.hosts)
    tls = tls_of_redis(address.query)
    options: dict[str, Any] = {MASTER: address.query[MASTER]}
    if tls:
        options["sentinel_kwargs"] = {"ssl": True, **tls}
    return CeleryUrl(";".join(chunks), options, tls or None)


def _tls_of_amqp(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the TLS parameters under py-amqp's names; py-amqp verifies a host name only if it is given one."""
    named = {_FILES[name]: value for name, value in query.items() if name in _FILES}
    verified = {"cert_reqs": _verification(query)}
    checked = query.get("ssl_check_hostname", "true").lower() == "true" and verified["cert_reqs"] is ssl.CERT_REQUIRED
    # None stands for the host of the URL.
    return {**named, **verified, **({"server_hostname": None} if checked else {})}


def _verification(query: Mapping[str, str]) -> ssl.VerifyMode:
    return _VERIFY[query.get("ssl_cert_reqs", "required").removeprefix("CERT_").lower()]
