"""Authentication files as docker and podman write them (docker's config.json, containers-auth.json(5)).

{"auths": {KEY: {"auth": base64 of "user:password"}
              | {"username": …, "password": …}
              | {"identitytoken": …}},
 "credHelpers": {HOST: NAME}, "credsStore": NAME}
KEY = HOST | HOST/namespace[/…] | http[s]://HOST[/v1/]
"""

import base64
import os
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from tasks.errors import SettingsInvalid
from tasks.registry.settings import Credentials

DOCKER_HUB: Final = "docker.io"
LONGEST_FILE: Final = 1024 * 1024

_DOCKER_HUB_NAMES: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_API_VERSIONS: Final = frozenset({"v1", "v2"})


class _Entry(msgspec.Struct):
    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None

    def credentials(self) -> Credentials | None:
        """Return what the entry holds; raises ValueError where `auth` is not the base64 of a pair."""
        username, password = self.username or "", self.password or ""
        if self.auth:
            pair = base64.b64decode(self.auth, validate=True).decode()
            username, colon, password = pair.partition(":")
            if not colon:
                raise ValueError("auth holds no pair")
            password = password.rstrip("\0")
        found = Credentials(username, password, self.identitytoken or "")
        return None if found == Credentials() else found


class _Document(msgspec.Struct, rename="camel"):
    auths: dict[str, _Entry | None] | None = None
    cred_helpers: dict[str, str] | None = None
    creds_store: str | None = None


_documents: Final = msgspec.json.Decoder(_Document)


@dataclass(frozen=True, slots=True)
class AuthFile:
    """What one file says: credentials by name, helpers by host, and the helper of all other hosts ("" for none)."""

    credentials: Mapping[str, Credentials] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""

    def find(self, registry: str, repository: str) -> Credentials | None:
        """Return the credentials of the longest name that the repository stands in."""
        name = normalise_key(f"{registry}/{repository}" if repository else registry)
        while name:
            if name in self.credentials:
                return self.credentials[name]
            name = name.rpartition("/")[0]
        return None


def normalise_key(key: str) -> str:
    """Return `host[/namespace…]` for a key of `auths` or `credHelpers`, Docker Hub's names as `docker.io`."""
    scheme, separator, rest = key.rpartition("://")
    host, _, path = rest.strip("/").partition("/")
    host = host.lower()
    if host in _DOCKER_HUB_NAMES:
        host = DOCKER_HUB
    if (separator and scheme) or not path or path in _API_VERSIONS:
        return host
    return f"{host}/{path}"


def parse_auth_file(content: bytes) -> AuthFile:
    """Read an authentication file; raises ValueError, whose message and cause may quote secrets."""
    document = _documents.decode(content)
    credentials: dict[str, Credentials] = {}
    # A bare host names a registry more exactly than docker's old URLs: it is set last, and so counts.
    for key, entry in sorted((document.auths or {}).items(), key=lambda pair: "://" not in pair[0]):
        if entry is not None and (found := entry.credentials()):
            credentials[normalise_key(key)] = found
    helpers = {normalise_key(key): name for key, name in (document.cred_helpers or {}).items()}
    return AuthFile(credentials, helpers, document.creds_store or "")


def default_paths(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where podman, skopeo and docker look, in that order, whether there is a file or not."""
    home = Path(environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises without a home
    runtime = environment.get("XDG_RUNTIME_DIR")
    configuration = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    named = environment.get("REGISTRY_AUTH_FILE")
    docker = environment.get("DOCKER_CONFIG")
    paths = [
        *([Path(named)] if named else []),
        Path(runtime, "containers/auth.json") if runtime else Path(f"/run/containers/{os.getuid()}/auth.json"),
        configuration / "containers/auth.json",
        *([Path(docker, "config.json")] if docker else []),
        home / ".docker/config.json",
    ]
    return tuple(dict.fromkeys(paths))


class AuthFiles:
    """The authentication files of a process: each is read once, and again when it changes. Threads share it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._read: dict[Path, tuple[tuple[int, int, int], AuthFile | None]] = {}

    def read(self, path: Path) -> AuthFile:
        """Return what the file says; raises FileNotFoundError, or SettingsInvalid that names the file alone."""
        try:
            status = path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            with self._guard:
                known, file = self._read.get(path, (None, None))
                if known != version:
                    file = _read(path) if stat.S_ISREG(status.st_mode) and status.st_size <= LONGEST_FILE else None
                    self._read[path] = (version, file)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise SettingsInvalid(f"The authentication file {path} cannot be read: {error.strerror}.") from None
        if file is None:
            raise SettingsInvalid(f"The authentication file {path} is not one: see containers-auth.json(5).")
        return file


def _read(path: Path) -> AuthFile | None:
    try:
        return parse_auth_file(path.read_bytes())
    except (ValueError, RecursionError):
        return None
