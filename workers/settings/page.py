"""The settings of the page of pushes."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from tasks.discreet import Discreet
from workers.settings.document import PageTable, expand
from workers.settings.observability import Address, read_address
from workers.settings.registries import RegistryReader

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# RFC 9110, 5.1: the name of a header is a token.
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_DEFAULT: Final = Address("127.0.0.1", 5556)


class PageSettings(Discreet, frozen=True, kw_only=True):
    """The settings of the page of pushes: its address, its users and its links.

    `logins` are passwords by user. `origin` is the scheme and authority of the page in browsers, None for those of the
    request. With `anonymous_actions`, everybody who reaches a page without logins may act.
    """

    _hidden: ClassVar = frozenset({"logins"})

    address: Address = _DEFAULT
    logins: dict[str, str] = msgspec.field(default_factory=dict)
    user_header: str | None = None
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    origin: str | None = None
    anonymous_actions: bool = False
    flower_url: str | None = None
    trace_url: str | None = None

    @property
    def knows_users(self) -> bool:
        """Tell whether every user needs a name."""
        return bool(self.logins or self.user_header)

    @property
    def is_exposed(self) -> bool:
        """Tell whether other machines can reach the page."""
        return self.address.host not in _LOOPBACK

    def trusts(self, peer: str) -> bool:
        """Tell whether to trust the user header from a peer (an IP address)."""
        try:
            address: IPv4Address | IPv6Address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.proxies)


def read_page(table: PageTable, reader: RegistryReader) -> PageSettings:
    """Return the settings of the table; add errors to the reader's faults."""
    faults = reader.faults
    if table.user_header and not _HEADER.fullmatch(table.user_header):
        faults.append(f"page.user_header: {table.user_header!r} is no name of a header")
    return PageSettings(
        address=read_address("page.address", table.address, faults) or _DEFAULT,
        logins=_logins(reader.secret_file("page.login_file", reader.base / expand(table.login_file)), faults)
        if table.login_file
        else {},
        user_header=table.user_header,
        proxies=tuple(network for text in table.proxies for network in _networks(text, faults)),
        origin=_origin(table.url, faults),
        anonymous_actions=table.anonymous_actions,
        flower_url=_link("page.flower_url", table.flower_url, faults),
        trace_url=_link("page.trace_url", table.trace_url, faults),
    )


def _logins(text: str, faults: list[str]) -> dict[str, str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pairs = [line.partition(":") for line in lines]
    if lines and not all(user and password for user, _, password in pairs):
        faults.append("page.login_file: each line must be user:password")
    return {user: password for user, _, password in pairs if user and password}


def _networks(text: str, faults: list[str]) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(text)]
    except ValueError:
        faults.append(f"page.proxies: {text!r} is neither an address nor a network such as 10.0.0.0/8")
        return []


def _origin(text: str | None, faults: list[str]) -> str | None:
    link = _link("page.url", text, faults)
    if link is None:
        return None
    parts = urlsplit(link)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _link(place: str, text: str | None, faults: list[str]) -> str | None:
    """Return a URL that a page may link to."""
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        known = False
    if not known:
        faults.append(f"{place}: expected a URL such as https://pushes.example.com, without credentials")
        return None
    return text
