"""The usual paths of authentication files, and a reader of the files."""

import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tasks.errors import SettingsInvalid
from tasks.registry.auth.auth_format import AuthFile, parse_auth_file

# The content of an authentication file, for docker and the runners of GitLab.
VARIABLE: Final = "DOCKER_AUTH_CONFIG"
LONGEST_FILE: Final = 1024 * 1024

_LEGACY_NAME: Final = ".dockercfg"


def default_paths(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the paths where podman, skopeo and docker look, in that order; the files need not exist.

    REGISTRY_AUTH_FILE takes the place of the first file and DOCKER_CONFIG that of docker's folder, as in
    containers-auth.json(5).
    """
    home = Path(environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises without a home
    runtime = environment.get("XDG_RUNTIME_DIR")
    configuration = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    docker = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    first = Path(runtime, "containers/auth.json") if runtime else Path(f"/run/containers/{os.getuid()}/auth.json")
    paths = [
        Path(environment.get("REGISTRY_AUTH_FILE") or first),
        configuration / "containers/auth.json",
        docker / "config.json",
        home / _LEGACY_NAME,
    ]
    return tuple(dict.fromkeys(paths))


class AuthFiles:
    """The authentication files of a process: each is read once, and again when it changes. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._read: dict[Path, tuple[tuple[int, int, int], AuthFile | None]] = {}
        self._parsed: dict[str, AuthFile | None] = {}

    def read_text(self, text: str) -> AuthFile:
        """Return the parsed content of the variable; raises SettingsInvalid without the content."""
        with self._guard:
            if text not in self._parsed:
                self._parsed[text] = _parse(text.encode(errors="surrogateescape"), legacy=False)
        file = self._parsed[text]
        if file is None:
            raise SettingsInvalid(f"The variable {VARIABLE} is not JSON as in docker's config.json.")
        return file

    def read(self, path: Path) -> AuthFile:
        """Return the parsed file; raises FileNotFoundError, or SettingsInvalid with the path but no content."""
        try:
            status = path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            with self._guard:
                known, file = self._read.get(path, (None, None))
                if known != version:
                    file = _read(path, status)
                    self._read[path] = (version, file)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its name is not that of a file"
            raise SettingsInvalid(f"The authentication file {path} cannot be read: {reason}.") from None
        if file is None:
            raise SettingsInvalid(f"The authentication file {path} is not one: see containers-auth.json(5).")
        return file


def _read(path: Path, status: os.stat_result) -> AuthFile | None:
    if str(path) == os.devnull:
        # The user names the null device to have no file read.
        return AuthFile()
    if not stat.S_ISREG(status.st_mode) or status.st_size > LONGEST_FILE:
        return None
    return _parse(path.read_bytes(), legacy=path.name == _LEGACY_NAME)


def _parse(content: bytes, *, legacy: bool) -> AuthFile | None:
    try:
        return parse_auth_file(content, legacy=legacy)
    except (ValueError, RecursionError):
        return None
