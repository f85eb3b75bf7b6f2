"""Authentication files as docker and podman write them (docker's config.json, containers-auth.json(5)).

{"auths": {KEY: ENTRY}, "credHelpers": {KEY: NAME}, "credsStore": NAME}; a `.dockercfg` is the {KEY: ENTRY} alone.

| KEY                                                   | stands for                                             |
|-------------------------------------------------------|--------------------------------------------------------|
| HOST, HOST:PORT, HOST/                                | the registry under exactly that name, port included    |
| http[s]://HOST, the same with /v1, /v1/, /v2 or /v2/  | the same, after a key without a scheme                 |
| HOST/NAMESPACE[/...], http[s]://HOST/NAMESPACE[/...]  | what lies below that path, and nothing else            |
| https://index.docker.io/v1/access-token               | that path, which no image of Docker Hub has            |
| docker.io, index.docker.io, registry-1.docker.io      | Docker Hub                                             |

| ENTRY                                       | holds                                                              |
|---------------------------------------------|--------------------------------------------------------------------|
| {"auth": base64 of USER:PASSWORD}           | a pair, split at the first colon; NULs after it do not count       |
| the same, in lines, unpadded, or URL-safe   | a pair                                                             |
| {"username": USER, "password": PASSWORD}    | a pair, unless there is an `auth`                                  |
| {"identitytoken": TOKEN}, user `<token>`    | an identity token, which is exchanged for others                   |
| {"registrytoken": TOKEN}                    | a token that the registry itself takes                             |
| {}, null, {"auth": ""}, base64 of ":"       | nothing: a shorter key, a helper, or the next file is asked        |
| anything else                               | an unreadable entry: an error only for its own registry            |

The longest matching key counts. A helper named for a registry counts before `auths`, `credsStore` after it.
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final, TypeVar

import msgspec

from tasks.discreet import Discreet
from tasks.registry.settings import IDENTITY_TOKEN_USER, Credentials

DOCKER_HUB: Final = "docker.io"

_DOCKER_HUB_NAMES: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_API_VERSIONS: Final = frozenset({"v1", "v2"})
_SCHEME: Final = re.compile(r"(?i)https?://")
_USER_INFO: Final = re.compile(r"^((?:[A-Za-z]+://)?)[^/@]*@")
_BOMS: Final = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LONGEST_KEY: Final = 200
_PLAIN_BASE64: Final = str.maketrans("-_", "+/", " \t\r\n")

_Value = TypeVar("_Value")


class UnreadableEntry(Exception):
    """The matching entry cannot be read; the message names its key, never its content."""


class _Entry(msgspec.Struct):
    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None

    def credentials(self) -> Credentials | None:
        """Return the credentials of the entry; raises ValueError if `auth` is not the base64 of a pair."""
        username, password = self.username or "", self.password or ""
        if self.auth:
            username, password = _decode_pair(self.auth)
        identity = self.identitytoken or ""
        if username == IDENTITY_TOKEN_USER:
            username, password, identity = "", "", identity or password
        found = Credentials(username, password, identity, self.registrytoken or "")
        return None if found == Credentials() else found


def _decode_pair(text: str) -> tuple[str, str]:
    encoded = text.translate(_PLAIN_BASE64).rstrip("=")
    pair = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode()
    username, colon, password = pair.partition(":")
    if not colon:
        raise ValueError("auth holds no pair")
    return username, password.rstrip("\0")


class _Document(msgspec.Struct, rename="camel"):
    # Entry by entry: an unreadable entry must not spoil the others.
    auths: dict[str, msgspec.Raw] | None = None
    cred_helpers: dict[str, msgspec.Raw] | None = None
    creds_store: msgspec.Raw = msgspec.Raw(b"null")


_documents: Final = msgspec.json.Decoder(_Document)
_legacy: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entries: Final = msgspec.json.Decoder(_Entry | None)
_names: Final = msgspec.json.Decoder(str | None)


class AuthFile(Discreet, frozen=True):
    """One authentication file: credentials and helpers by name, and the helper of all other registries ("" for none).

    `servers` are the keys as written, by name: helpers may know a registry by them. `spoiled` are the unreadable keys
    by name; those of helpers are kept apart, and `credsStore` has the name "".
    """

    _hidden: ClassVar = frozenset({"credentials", "servers"})

    credentials: Mapping[str, Credentials] = msgspec.field(default_factory=dict)
    helpers: Mapping[str, str] = msgspec.field(default_factory=dict)
    store: str = ""
    servers: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    spoiled: Mapping[str, str] = msgspec.field(default_factory=dict)
    spoiled_helpers: Mapping[str, str] = msgspec.field(default_factory=dict)

    def find(self, registry: str, repository: str) -> Credentials | None:
        """Return the credentials of the longest name that contains the repository; raises UnreadableEntry."""
        for name in _names_above(registry, repository):
            if name in self.credentials:
                return self.credentials[name]
            _refuse(self.spoiled, name)
        return None

    def helper(self, registry: str, repository: str) -> tuple[str, str] | None:
        """Return the longest matching name with a helper, and the helper ("" for none); raises UnreadableEntry."""
        for name in _names_above(registry, repository):
            if name in self.helpers:
                return name, self.helpers[name]
            _refuse(self.spoiled_helpers, name)
        return None

    def default_helper(self) -> str:
        """Return the helper of registries without their own, "" for none; raises UnreadableEntry."""
        _refuse(self.spoiled_helpers, "")
        return self.store

    def faults(self) -> list[str]:
        """Return the unreadable keys."""
        return sorted({*self.spoiled.values(), *self.spoiled_helpers.values()})


def _names_above(registry: str, repository: str) -> Iterator[str]:
    name = normalise_key(registry)
    if repository:
        name = f"{name}/{repository}"
    while name:
        yield name
        name = name.rpartition("/")[0]


def _refuse(spoiled: Mapping[str, str], name: str) -> None:
    if name in spoiled:
        raise UnreadableEntry(spoiled[name])


def normalise_key(key: str) -> str:
    """Return `host[/namespace...]` for a key of `auths` or `credHelpers`, Docker Hub's names as `docker.io`."""
    scheme = _SCHEME.match(key)
    rest = key[scheme.end() :] if scheme else key
    if scheme:
        rest = re.split(r"[?#]", _USER_INFO.sub("", rest), maxsplit=1)[0]
    host, _, path = rest.partition("/")
    host, path = host.lower(), path.strip("/")
    if host in _DOCKER_HUB_NAMES:
        host = DOCKER_HUB
    return host if not path or path in _API_VERSIONS else f"{host}/{path}"


def parse_auth_file(content: bytes, *, legacy: bool = False) -> AuthFile:
    """Parse an authentication file, a `.dockercfg` if `legacy`.

    Raises ValueError for other content; its message and cause may quote secrets.
    """
    encoding = next((name for bom, name in _BOMS.items() if content.startswith(bom)), None)
    if encoding:
        content = content.decode(encoding).encode()
    if not content.strip():
        return AuthFile()
    document = _Document(auths=_legacy.decode(content)) if legacy else _documents.decode(content)
    auths, helpers = document.auths or {}, document.cred_helpers or {}
    credentials, spoiled = _read_each(auths, lambda raw: (entry := _entries.decode(raw)) and entry.credentials())
    # Docker also writes null for a registry without a helper.
    names, spoiled_helpers = _read_each(helpers, lambda raw: _names.decode(raw) or "")
    try:
        store = _names.decode(document.creds_store) or ""
    except (ValueError, RecursionError):
        store, spoiled_helpers[""] = "", "'credsStore'"
    servers: dict[str, tuple[str, ...]] = {}
    for key in (*helpers, *auths):
        name = normalise_key(key)
        servers[name] = (*servers.get(name, ()), key)
    return AuthFile(credentials, names, store, servers, spoiled, spoiled_helpers)


def _read_each(
    entries: Mapping[str, msgspec.Raw], read: Callable[[msgspec.Raw], _Value | None]
) -> tuple[dict[str, _Value], dict[str, str]]:
    """Return the readable entries, and the unreadable keys in the form for messages; both by name."""
    found: dict[str, _Value] = {}
    spoiled: dict[str, str] = {}
    for key in sorted(entries, key=_rank):
        name = normalise_key(key)
        try:
            value = read(entries[key])
        except (ValueError, RecursionError):
            spoiled.setdefault(name, _shown(key))
            continue
        if value is not None:
            found.setdefault(name, value)
    return found, {name: key for name, key in spoiled.items() if name not in found}


def _rank(key: str) -> tuple[bool, bool, str]:
    """Return the sort key of a key among those of one name: bare keys before docker's old URLs, https before http."""
    scheme = _SCHEME.match(key)
    return scheme is not None, scheme is not None and scheme[0].lower() == "http://", key


def _shown(key: str) -> str:
    """Return a key in the form for messages: the part before an `@` may be a secret."""
    return repr(_USER_INFO.sub(r"\1…@", key)[:_LONGEST_KEY])
