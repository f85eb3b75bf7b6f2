"""The table of a registry, and its credentials."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tasks.registry.settings import Api, Login, RegistrySettings, UploadChoice
from tasks.registry.upload_forms import LEAST_PART_BYTES
from workers.settings.document.values import Count, Text, Variable

_REGISTRY: Final = RegistrySettings()


class CredentialsTable(msgspec.Struct, frozen=True):
    """A user, with a password, or with the variable or file that holds it; or the login of a cloud."""

    username: Text | None = None
    password: Text | None = None
    password_file: Text | None = None
    password_env: Variable | None = None
    identity_token: Text | None = None
    identity_token_file: Text | None = None
    identity_token_env: Variable | None = None
    login: Login | None = None


class RegistryTable(CredentialsTable, frozen=True):
    """One registry: the connection and the credentials."""

    tls_verify: bool = True
    plain_http: bool | None = None
    ca_file: Text | None = None
    certificates: Text | None = None
    client_certificate: Text | None = None
    client_key: Text | None = None
    requests_at_once: Count = _REGISTRY.requests_at_once
    requests_per_second: Annotated[float, Meta(gt=0)] | None = None
    uploads: UploadChoice = _REGISTRY.uploads
    part_bytes: Annotated[int, Meta(ge=LEAST_PART_BYTES)] | None = None
    api_token_file: Text | None = None
    api: Api | None = None
    source: CredentialsTable = CredentialsTable()
    destination: CredentialsTable = CredentialsTable()
