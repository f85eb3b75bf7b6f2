"""Clients of scripted registries, with waits and bounds so small that no test waits for them."""

from typing import Final

from msgspec import structs

from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import digest_of
from tasks.registry.repository import Registries, Repository
from tasks.registry.settings import Credentials, HttpLimits, RegistryConfiguration, RegistrySettings, Role
from tests.support.scripted import Answer, Exchange

QUICK: Final = HttpLimits(connect_timeout=10, idle_timeout=10, tries=3, longest_wait=0.01)
# What a stalled registry runs into.
IMPATIENT: Final = structs.replace(QUICK, idle_timeout=1.5, commit_timeout=1.5, tries=2)
PING: Final = Exchange("GET", "/v2/", Answer(200))
USER: Final = Credentials("user", "password")
NAME: Final = "team/app"
UPLOADS: Final = f"/v2/{NAME}/blobs/uploads/"
SESSION: Final = f"{UPLOADS}1"


def client(
    host: str,
    *,
    role: Role = "source",
    push: bool = False,
    limits: HttpLimits = QUICK,
    settings: RegistrySettings | None = None,
) -> Repository:
    """Return the client of `team/app` at a registry that nothing is known of yet."""
    known = {} if settings is None else {host: settings}
    registries = Registries(RegistryConfiguration(registries=known, limits=limits))
    return registries.repository(host, NAME, role, push=push)


def blob_of(content: bytes) -> Descriptor:
    return Descriptor("application/octet-stream", digest_of(content), len(content))


def manifest_path(reference: str) -> str:
    return f"/v2/{NAME}/manifests/{reference}"


def blob_path(content: bytes) -> str:
    return f"/v2/{NAME}/blobs/{digest_of(content)}"
