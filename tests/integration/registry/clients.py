"""Clients of real registries, and how they bring an image from one repository into another, one thing at a time."""

from typing import Final

from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.registry.repository import Registries, Repository
from tasks.registry.settings import Credentials, HttpLimits, RegistryConfiguration, RegistrySettings, Role
from tests.support.images import Image, digest_of

QUICK: Final = HttpLimits(connect_timeout=10, idle_timeout=20, tries=4, longest_wait=0.05)
# Empty credentials: nobody's authentication files are looked at.
ANONYMOUS: Final = RegistrySettings(credentials=Credentials())


def registries(settings: dict[str, RegistrySettings] | None = None, limits: HttpLimits = QUICK) -> Registries:
    """Return the registries of a process that has just started."""
    return Registries(RegistryConfiguration(settings or {}, limits=limits))


def client(
    host: str, name: str, settings: RegistrySettings = ANONYMOUS, role: Role = "destination", limits: HttpLimits = QUICK
) -> Repository:
    """Return a client that may push where it is a destination."""
    return registries({host: settings}, limits).repository(host, name, role, push=role == "destination")


def blobs_of(image: Image) -> list[Descriptor]:
    return [Descriptor("application/octet-stream", Digest(digest), len(it)) for digest, it in image.blobs.items()]


def bring(source: Repository, destination: Repository, image: Image, tag: str = "latest") -> list[int]:
    """Copy an image, its blobs first, and return what the progress of the blobs was told."""
    fetched = source.fetch_manifest(tag)
    assert fetched.digest == image.digest
    done: list[int] = []
    for blob in blobs_of(image):
        with source.open_blob(blob) as reader:
            destination.blob_upload(blob, reader, done.append).run()
    destination.push_manifest(tag, fetched.content, fetched.media_type)
    described = destination.resolve(tag)
    assert described is not None
    assert described.digest == digest_of(fetched.content)
    return done
