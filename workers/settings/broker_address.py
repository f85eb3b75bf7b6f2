"""The address of a Redis or RabbitMQ in the settings: its forms, parsed strictly.

| form                                                   | leads to                                                    |
|--------------------------------------------------------|-------------------------------------------------------------|
| redis://[USER][:PASSWORD]@HOST[:PORT][/DB]             | a Redis                                                     |
| rediss://... with ssl_* parameters                     | a Redis, by TLS                                             |
| redis+socket:///PATH[?virtual_host=DB]                 | a Redis on this machine; unix:///PATH[?db=DB] means the same|
| sentinel://...@HOST[:PORT],HOST[:PORT]/DB              | the primary that these Sentinels know; needs its name       |
| sentinel://HOST/DB;sentinel://HOST/DB                  | the same, as kombu and Celery write it                      |
| amqp://[USER][:PASSWORD]@HOST[:PORT][/VIRTUAL_HOST]    | a RabbitMQ; `//` or `/%2F` is its virtual host `/`          |
| amqps://... with ssl_* parameters                      | a RabbitMQ, by TLS                                          |

The parameters are those of kombu and redis-py: ssl_cert_reqs, ssl_ca_certs, ssl_certfile, ssl_keyfile and
ssl_check_hostname; `master_name` of Sentinels; `login_method` of RabbitMQ.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

from tasks.discreet import Discreet
from workers.settings.document import is_there

SOCKETS: Final = ("redis+socket", "unix")
SENTINEL: Final = "sentinel"
REDIS: Final = ("redis", "rediss", *SOCKETS, SENTINEL)
RABBITMQ: Final = ("amqp", "amqps")
# For Sentinels, a parameter turns TLS on: their scheme does not tell.
TLS: Final = ("rediss", "amqps", SENTINEL)
MASTER: Final = "master_name"

_SENTINEL_PORT: Final = 26379
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CHOICES: Final = {
    "ssl_cert_reqs": ("required", "optional", "none", "CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE"),
    "ssl_check_hostname": ("true", "false", "True", "False"),
    "login_method": ("PLAIN", "AMQPLAIN", "EXTERNAL"),
}
_OF_TLS: Final = ("ssl_cert_reqs", "ssl_check_hostname", *_FILES)
_DATABASE: Final = re.compile(r"[0-9]{1,9}")
_DATABASE_DUE: Final = "after the host a Redis has the number of a database, such as /0"
_NOT_WHOLE: Final = "is not a valid URL; in a user's name or password, write / # ? : @ as %2F %23 %3F %3A %40"


class BrokerAddress(Discreet, frozen=True):
    """The parts of an address, verbatim; a non-empty `user` ends in an @."""

    _hidden: ClassVar = frozenset({"user"})

    scheme: str
    user: str = ""
    hosts: tuple[str, ...] = ()
    path: str = ""
    query: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def url(self) -> str:
        """Return the address as one URL; several hosts are separated by commas."""
        parameters = urlencode(self.query, quote_via=quote, safe="/")
        return f"{self.scheme}://{self.user}{','.join(self.hosts)}{self.path}{'?' if parameters else ''}{parameters}"

    @property
    def encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self.scheme in {"rediss", "amqps"} or any(name in _OF_TLS for name in self.query)

    def with_parameters(self, parameters: Mapping[str, str]) -> "BrokerAddress":
        """Return the address with these parameters added; its own parameters win."""
        return msgspec.structs.replace(self, query={**parameters, **self.query})


def split_address(url: str) -> BrokerAddress:
    """Return the parts of an address that `read_address` has accepted."""
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    netloc, slash, path = rest.partition("/")
    user, at, hosts = netloc.rpartition("@")
    return BrokerAddress(scheme, user + at, tuple(filter(None, hosts.split(","))), slash + path, dict(parse_qsl(query)))


def read_address(url: str, supported: tuple[str, ...]) -> BrokerAddress:
    """Return the parts of an address in a supported form.

    Raises ValueError; its message follows the name of a setting and shows only the scheme of the URL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not re.fullmatch(r"[a-z][a-z0-9+.-]{0,19}", scheme):
        raise ValueError(f" is not a URL; supported are {_listed(supported)}")
    if scheme not in supported:
        raise ValueError(f": {scheme}:// is not supported; supported are {_listed(supported)}")
    if scheme == SENTINEL:
        url = _of_one_chunk(rest)
    if not _is_whole(url):
        raise ValueError(f" {_NOT_WHOLE}")
    address = split_address(url)
    _check_parameters(address)
    return _with_database(address) if scheme in REDIS else address


def _of_one_chunk(rest: str) -> str:
    """Return the address of Sentinels with all hosts in one URL; Celery repeats user and database in each."""
    first, *others = rest.split(";")
    address = split_address(f"{SENTINEL}://{first}")
    hosts = address.hosts
    for other in others:
        hosts += split_address(other if "://" in other else f"{SENTINEL}://{other}").hosts
    ported = (host if re.search(r":[0-9]+$", host) else f"{host}:{_SENTINEL_PORT}" for host in hosts)
    _, mark, query = first.partition("?")
    return f"{msgspec.structs.replace(address, hosts=tuple(dict.fromkeys(ported)), query={}).url}{mark}{query}"


def _is_whole(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        if "@" in parts.path + parts.query or parts.fragment or not url.isprintable() or " " in url:
            return False
        if scheme in SOCKETS:
            return len(parts.path) > 1 and not parts.hostname
        hosts = parts.netloc.rpartition("@")[2].split(",") if scheme == SENTINEL else [parts.netloc.rpartition("@")[2]]
        # Access to the port parses it.
        return all((each := urlsplit(f"//{host}")).hostname and each.port != 0 for host in hosts)
    except ValueError:
        return False


def _check_parameters(address: BrokerAddress) -> None:
    known = _known(address.scheme)
    for name, value in address.query.items():
        if name not in known:
            few = f"known with {address.scheme}:// are {', '.join(sorted(known))}" if known else "it takes none"
            hint = "; TLS is spoken with rediss:// and amqps://" if name in _OF_TLS else ""
            raise ValueError(f" has the parameter {name[:40]!r}, which is not known: {few}{hint}")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ValueError(f": the parameter {name} must be one of {', '.join(_CHOICES[name])}")
        if name in _FILES and not is_there(Path(value)):
            raise ValueError(f": the parameter {name} names no file that is there")


def _known(scheme: str) -> set[str]:
    known = set(_OF_TLS) if scheme in TLS else set()
    known |= {"db", "virtual_host"} if scheme in REDIS else {"login_method"}
    return known | ({MASTER} if scheme == SENTINEL else set())


def _with_database(address: BrokerAddress) -> BrokerAddress:
    """Return the address of a Redis with a single database: in a parameter for a socket, otherwise in the path."""
    query = dict(address.query)
    given = [query.pop(name) for name in ("db", "virtual_host") if name in query]
    is_socket = address.scheme in SOCKETS
    if not is_socket and address.path not in {"", "/"}:
        given.append(address.path.removeprefix("/"))
    if any(not _DATABASE.fullmatch(each) for each in given) or len(set(given)) > 1:
        raise ValueError(f": {_DATABASE_DUE if not is_socket else 'db must be the number of one database'}")
    if is_socket:
        return msgspec.structs.replace(address, query=query | ({"virtual_host": given[0]} if given else {}))
    return msgspec.structs.replace(address, query=query, path=f"/{given[0]}" if given else address.path)


def _listed(schemes: tuple[str, ...]) -> str:
    return ", ".join(f"{scheme}://" for scheme in schemes)
