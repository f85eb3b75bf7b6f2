"""The settings of registries: TLS, timeouts, and the sources of credentials."""

from collections.abc import Iterable
from typing import ClassVar, Final, Literal

import msgspec

from tasks.discreet import Discreet
from tasks.errors import RequestInvalid

# The user beside an identity token in authentication files and answers of helpers.
IDENTITY_TOKEN_USER: Final = "<token>"  # noqa: S105 - docker's word for it, not a password

Role = Literal["source", "destination"]
UploadChoice = Literal["auto", "put", "patch", "parts"]
Proxy = Literal["environment", "none"]
Login = Literal["ecr", "google", "azure"]
Api = Literal["quay", "ecr", "harbor", "none"]


class Credentials(Discreet, frozen=True):
    """A user with a password, or a token (docker's `identitytoken`, `registrytoken`). Never shown by repr.

    An identity token is exchanged for tokens that a registry takes; a registry token is such a token. `login` stands
    for credentials that the library of a cloud finds when they are needed.
    """

    _hidden: ClassVar = frozenset({"username", "password", "identity_token", "registry_token", "login"})

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
    login: Login | None = None


class RegistrySettings(Discreet, frozen=True):
    """The settings of one registry.

    `plain_http` None means: by https, and by http only if the host is loopback or `tls_verify` is off. `ca_file` is a
    PEM bundle; `certificates` is a folder in the layout of docker's certs.d (`*.crt` authorities, `*.cert` with `*.key`
    client pairs), and replaces the first of the `usual_certificates` with a folder for the registry. The requests at
    once and per second are those of all workers together. `uploads` is the form of blob uploads ("auto": the first
    form that the registry takes), `part_bytes` the most bytes of a part (BEHAVIOUR 5.6). `proxy` says whether the
    proxies of the environment are used. `api_token` is for Quay's own API. `api` is the product whose own API is asked
    before a push what it will refuse; None leaves it to token and login.
    """

    _hidden: ClassVar = frozenset({"api_token"})

    tls_verify: bool = True
    plain_http: bool | None = None
    ca_file: str | None = None
    certificates: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    requests_at_once: int = 64
    requests_per_second: float | None = None
    uploads: UploadChoice = "auto"
    part_bytes: int | None = None
    credentials: Credentials | None = None
    source_credentials: Credentials | None = None
    destination_credentials: Credentials | None = None
    usual_certificates: tuple[str, ...] = ()
    proxy: Proxy = "none"
    api_token: str | None = None
    api: Api | None = None


class RegistryOverride(msgspec.Struct, frozen=True):
    """The command line's settings for every registry in one role; None keeps the configuration's value."""

    credentials: Credentials | None = None
    tls_verify: bool | None = None
    certificates: str | None = None


class HttpLimits(msgspec.Struct, frozen=True):
    """Bounds of every HTTP exchange: seconds, tries and bytes.

    `idle_timeout` is for each wait and for the whole head of an answer, `answer_timeout` for the whole of an answer
    that is not a blob, `commit_timeout` for the answer to the last request of a blob. A `Retry-After` of more seconds
    than `retry_after_limit` ends the tries (BEHAVIOUR 8.3).
    """

    connect_timeout: float = 10.0
    idle_timeout: float = 60.0
    answer_timeout: float = 300.0
    commit_timeout: float = 600.0
    retry_after_limit: float = 3600.0
    tries: int = 5
    longest_wait: float = 5.0
    manifest_bytes: int = 4 * 1024 * 1024
    index_entries: int = 5000
    error_bytes: int = 64 * 1024
    buffer_bytes: int = 1024 * 1024


class RegistryConfiguration(msgspec.Struct, frozen=True):
    """The configuration of the registry client: settings by registry, and files, folders and bounds for all.

    `secret_variables` are environment variables that hold secrets: no child process inherits them.
    """

    registries: dict[str, RegistrySettings] = msgspec.field(default_factory=dict)
    source_override: RegistryOverride = msgspec.field(default_factory=RegistryOverride)
    destination_override: RegistryOverride = msgspec.field(default_factory=RegistryOverride)
    auth_files: tuple[str, ...] = ()
    limits: HttpLimits = msgspec.field(default_factory=HttpLimits)
    secret_variables: frozenset[str] = frozenset()
    usual_certificates: tuple[str, ...] = ()
    proxy: Proxy = "none"

    def settings(self, registry: str, role: Role) -> RegistrySettings:
        """Return the settings of `registry` in this role, with the credentials of the role."""
        base = self.registries.get(registry, RegistrySettings())
        override = self._override(role)
        of_role = base.source_credentials if role == "source" else base.destination_credentials
        return msgspec.structs.replace(
            base,
            credentials=override.credentials or of_role or base.credentials,
            tls_verify=base.tls_verify if override.tls_verify is None else override.tls_verify,
            certificates=override.certificates or base.certificates,
            usual_certificates=self.usual_certificates,
            proxy=self.proxy,
        )

    def check_hosts(self, role: Role, registries: Iterable[str]) -> None:
        """Raise RequestInvalid if credentials for one registry would go to several."""
        named = sorted(set(registries))
        if self._override(role).credentials is not None and len(named) > 1:
            raise RequestInvalid(
                f"The credentials that were given for the {role} would go to several registries ({', '.join(named)})."
                " Push from or to one at a time, or put the credentials of each into [registries.HOST] of the settings"
                " or into an authentication file."
            )

    def _override(self, role: Role) -> RegistryOverride:
        return self.source_override if role == "source" else self.destination_override
