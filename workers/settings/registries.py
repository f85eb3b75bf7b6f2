"""The settings of registries: credentials and their sources, TLS, and required files."""

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from tasks.errors import SettingsInvalid
from tasks.registry.settings import Api, Credentials, Login, RegistrySettings
from workers.settings.document import BrokerTable, CredentialsTable, RegistryTable, expand, is_there

_logger: Final = logging.getLogger(__name__)


class TlsFiles(msgspec.Struct, frozen=True):
    """The files for TLS: authorities in addition to the system's, and client certificate with key; None if not set."""

    ca_file: str | None
    client_certificate: str | None
    client_key: str | None


class RegistryReader(msgspec.Struct, frozen=True):
    """A reader of the tables of registries; relative paths start at `base`, and errors go to `faults`."""

    environment: Mapping[str, str]
    base: Path
    faults: list[str]

    def registry(self, place: str, registry: str, table: RegistryTable) -> RegistrySettings:
        """Return the settings of one registry, with their secrets resolved."""
        files = self.tls_files(place, table)
        return RegistrySettings(
            tls_verify=table.tls_verify,
            plain_http=table.plain_http,
            ca_file=files.ca_file,
            certificates=self._optional(f"{place}.certificates", table.certificates, folder=True),
            client_certificate=files.client_certificate,
            client_key=files.client_key,
            requests_at_once=table.requests_at_once,
            requests_per_second=table.requests_per_second,
            uploads=table.uploads,
            part_bytes=table.part_bytes,
            api_token=self._api_token(place, table),
            api=self._api(place, registry, table),
            credentials=self.credentials(place, registry, table),
            source_credentials=self.credentials(f"{place}.source", registry, table.source),
            destination_credentials=self.credentials(f"{place}.destination", registry, table.destination),
        )

    def _api_token(self, place: str, table: RegistryTable) -> str | None:
        if table.api_token_file is None:
            return None
        return self.secret_file(f"{place}.api_token_file", self.base / expand(table.api_token_file))

    def _api(self, place: str, registry: str, table: RegistryTable) -> Api | None:
        if table.api == "quay" and table.api_token_file is None:
            self.faults.append(f'{place}: api = "quay" needs api_token_file beside it')
        if table.api == "ecr":
            from tasks.registry.auth.logins.ecr import place_of  # noqa: PLC0415 - few registries are Amazon's

            if place_of(registry) is None:
                self.faults.append(f'{place}: api = "ecr" is for a private registry of Amazon ECR')
        return table.api

    def tls_files(self, place: str, table: RegistryTable | BrokerTable) -> TlsFiles:
        """Return the TLS files of a table, which must exist; a certificate needs its key."""
        if (table.client_certificate is None) != (table.client_key is None):
            given, missing = ("client_certificate", "client_key")[:: 1 if table.client_certificate else -1]
            self.faults.append(f"{place}: {given} needs {missing} beside it")
        client_key = self._optional(f"{place}.client_key", table.client_key)
        if client_key:
            warn_if_readable(Path(client_key))
        return TlsFiles(
            self._optional(f"{place}.ca_file", table.ca_file),
            self._optional(f"{place}.client_certificate", table.client_certificate),
            client_key,
        )

    def credentials(self, place: str, registry: str, table: CredentialsTable) -> Credentials | None:
        """Return the credentials of a table: a user with a password, an identity token, a login, or None."""
        if table.login is not None:
            return self._login(place, registry, table.login, table)
        password_keys, token_keys = _given(table, "password"), _given(table, "identity_token")
        secret_keys = password_keys + token_keys
        if len(secret_keys) > 1:
            self.faults.append(f"{place}: {' and '.join(secret_keys)} exclude each other")
        elif table.username is not None and not secret_keys:
            self.faults.append(f"{place}: username needs password, password_file or password_env beside it")
        elif password_keys and table.username is None:
            self.faults.append(f"{place}: {password_keys[0]} needs username beside it")
        elif secret_keys:
            secret = self._secret(place, table, secret_keys[0])
            if password_keys:
                return Credentials(table.username or "", secret)
            return Credentials(table.username or "", identity_token=secret)
        return None

    def _login(self, place: str, registry: str, login: Login, table: CredentialsTable) -> Credentials:
        from tasks.registry.auth.logins.login import check_host  # noqa: PLC0415 - few registries need a cloud's login

        others = ["username"] if table.username is not None else []
        others += _given(table, "password") + _given(table, "identity_token")
        if others:
            self.faults.append(f"{place}: login and {' and '.join(others)} exclude each other")
        try:
            check_host(login, registry)
        except SettingsInvalid as error:
            self.faults.append(f"{place}: {error.message}")
        return Credentials(login=login)

    def existing(self, place: str, text: str, *, folder: bool = False) -> str:
        """Return the path of a file or folder that must exist."""
        path = self.base / expand(text)
        # The null device means that there is nothing to read.
        if not is_there(path, folder=folder) and str(path) != os.devnull:
            self.faults.append(f"{place}: there is no {'folder' if folder else 'file'} {path}")
        return str(path)

    def _optional(self, place: str, text: str | None, *, folder: bool = False) -> str | None:
        return None if text is None else self.existing(place, text, folder=folder)

    def _secret(self, place: str, table: CredentialsTable, key: str) -> str:
        value: str = getattr(table, key)
        if key.endswith("_env"):
            secret = self.environment.get(value, "")
            if not secret:
                self.faults.append(f"{place}.{key}: the variable {value} is not set")
            return secret
        if key.endswith("_file"):
            return self.secret_file(f"{place}.{key}", self.base / expand(value))
        return value

    def secret_file(self, place: str, path: Path) -> str:
        """Return the text of a file that holds a secret."""
        try:
            secret = path.read_bytes().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            self.faults.append(f"{place}: {path} is not UTF-8 text")
            return ""
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no file has such a name"
            self.faults.append(f"{place}: {path} cannot be read: {reason}")
            return ""
        if not secret:
            self.faults.append(f"{place}: {path} is empty")
        warn_if_readable(path)
        return secret


def warn_if_readable(path: Path) -> None:
    """Warn of a file with a secret that every user of the machine can read."""
    try:
        readable = path.stat().st_mode & stat.S_IROTH
    except (OSError, ValueError):
        return
    if readable:
        # Few files are readable by all.
        import shlex  # noqa: PLC0415

        shown = shlex.quote(str(path))
        _logger.warning("Every user of this machine may read %s, which holds a secret: run chmod o-r %s", path, shown)


def _given(table: CredentialsTable, name: str) -> list[str]:
    return [key for key in (name, f"{name}_file", f"{name}_env") if getattr(table, key) is not None]
