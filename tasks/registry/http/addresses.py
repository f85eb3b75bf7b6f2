"""The addresses to which a registry may lead its client: a public registry never leads to inward ones."""

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from tasks.errors import AddressForbidden

_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
# The prefixes whose last four bytes are an IPv4 address: that of an IPv6-only network (RFC 6052, 2.1), and the
# deprecated ones of IPv4-compatible (RFC 4291, 2.5.5.1) and IPv4-translated addresses (RFC 2765, 2.1).
_TRANSLATED: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")))
# A network translates these to addresses of its own, in a form of its own (RFC 8215).
_TRANSLATED_LOCALLY: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
# The addresses of cloud metadata services that are not link-local (Alibaba, Azure, Oracle, Amazon and Google by IPv6;
# Amazon gives credentials to pods at `::23`).
_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
    )
)
_METADATA_NAMES: Final = frozenset(
    {
        "metadata", "metadata.goog", "metadata.google.internal", "metadata.tencentyun.com",
        "instance-data", "instance-data.ec2.internal",
    }
)  # fmt: skip
# RFC 6761, RFC 6762 with appendix G, RFC 8375, and the services of a cluster.
_LOCAL_ENDINGS: Final = (
    ".localhost", ".local", ".internal", ".home.arpa", ".intranet", ".private", ".corp", ".home", ".lan", ".svc",
)  # fmt: skip


def is_inward(host: str) -> bool:
    """Tell whether a host, without port and brackets, is this machine or in a private network.

    Inward hosts are private addresses in every form that the C library reads (`127.1`, `0x7f000001`), names of the
    machine itself, and names that cannot be public.
    """
    name = host.lower().rstrip(".")
    address = _address_of(name)
    if address is not None:
        is_local = isinstance(address, ipaddress.IPv6Address) and (
            address.is_site_local or address in _TRANSLATED_LOCALLY
        )
        return is_local or not address.is_global or address.is_multicast
    return name in _LOCAL_NAMES or name.endswith(_LOCAL_ENDINGS) or "." not in name


def is_never_asked(host: str) -> bool:
    """Tell whether a host is link-local or a cloud's metadata service: no registry is there."""
    name = host.lower().rstrip(".")
    address = _address_of(name.partition("%")[0])
    if address is None:
        return name in _METADATA_NAMES
    if address in _TRANSLATED_LOCALLY:
        # Its usual form, with an IPv4 address in the last four bytes.
        address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.is_link_local or address in _METADATA


def forbid_inward(origin_host: str, url: str) -> None:
    """Refuse the URL of a realm or redirect that leads from a public registry to an inward address.

    `origin_host` is the registry as its reference names it, with or without a port; `url` is absolute. An inward
    registry may lead anywhere, except to metadata services of clouds. Names are not resolved: the caller that connects
    must also check the resolved address with `is_inward`. Raises AddressForbidden, also for URLs that two parsers
    could read differently.
    """
    host = host_of(url)
    if is_inward(host) and not is_inward(host_of(f"//{origin_host}")):
        raise AddressForbidden(f"{origin_host} leads to {host}, an address that only this side can reach.")
    if is_never_asked(host):
        raise AddressForbidden(f"{origin_host} leads to {host}, where no registry is.")


def host_of(url: str) -> str:
    """Return a URL's host in lower case, without port and brackets; raises AddressForbidden for an ambiguous URL."""
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        raise AddressForbidden("A registry leads to a URL with characters that no URL has.")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise AddressForbidden("A registry leads to something that is not a URL.") from None
    if not host or "@" in parts.netloc:
        # A user in a URL would take the place of the Authorization header.
        raise AddressForbidden("A registry leads to a URL without a host or with a user in it.")
    return host


def _address_of(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(name))
        except (OSError, ValueError):
            return None
    if isinstance(address, ipaddress.IPv6Address):
        # `::` and `::1` are addresses of IPv6 (RFC 4291, 2.5.2 and 2.5.3).
        if int(address) > 1 and any(address in network for network in _TRANSLATED):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
