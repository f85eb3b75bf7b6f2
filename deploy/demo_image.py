"""Put a small multi-arch image into a registry, or show what a reference holds there.

Standard library only, and apart from the project's own code: what it shows is what any other client would see.
"""

import argparse
import gzip
import hashlib
import http.client
import io
import json
import random
import sys
import tarfile
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

MEBIBYTE = 1 << 20
SHARED_LAYER_BYTES = 8 * MEBIBYTE
OWN_LAYER_BYTES = 4 * MEBIBYTE


class MediaTypes(NamedTuple):
    """The media types of one form of images."""

    listing: str
    manifest: str
    config: str
    layer: str


MEDIA_TYPES = {
    "oci": MediaTypes(
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    ),
    "docker": MediaTypes(
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
}
ACCEPT = ", ".join(media_type for types in MEDIA_TYPES.values() for media_type in (types.listing, types.manifest))


class RegistryError(Exception):
    """An unexpected answer of a registry."""


class Layer(NamedTuple):
    """A layer: its bytes, and the digest of its uncompressed content."""

    content: bytes
    diff_id: str


class Reference(NamedTuple):
    """A reference: `host:port/repository:tag` or `host:port/repository@digest`."""

    host: str
    repository: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        host, _, rest = text.partition("/")
        repository, at, name = rest.partition("@")
        if not at:
            repository, _, name = rest.rpartition(":")
        if not (host and repository and name):
            raise argparse.ArgumentTypeError(f"{text!r} is not host:port/repository:tag")
        return cls(host, repository, name)

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}{'@' if ':' in self.name else ':'}{self.name}"


class Registry:
    """A client of one registry, by plain HTTP and without credentials."""

    def __init__(self, host: str) -> None:
        self._connection = http.client.HTTPConnection(host, timeout=30)

    def push_blob(self, repository: str, content: bytes) -> bool:
        """Upload a blob unless the repository has it; return whether it was sent."""
        digest = digest_of(content)
        if self._ask("HEAD", f"/v2/{repository}/blobs/{digest}", (200, 404))[0] == http.HTTPStatus.OK:
            return False
        _, headers, _ = self._ask("POST", f"/v2/{repository}/blobs/uploads/", (202,))
        location = urlsplit(headers["Location"])
        query = f"{location.query}&digest={digest}".lstrip("&")
        self._ask("PUT", f"{location.path}?{query}", (201,), content, {"Content-Type": "application/octet-stream"})
        return True

    def push_manifest(self, repository: str, name: str, media_type: str, content: bytes) -> None:
        self._ask("PUT", f"/v2/{repository}/manifests/{name}", (201,), content, {"Content-Type": media_type})

    def fetch_manifest(self, repository: str, name: str) -> bytes | None:
        """Return the bytes of a manifest, or None if it does not exist."""
        status, _, body = self._ask("GET", f"/v2/{repository}/manifests/{name}", (200, 404), headers={"Accept": ACCEPT})
        return body if status == http.HTTPStatus.OK else None

    def _ask(
        self,
        method: str,
        path: str,
        expected: Sequence[int],
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        self._connection.request(method, path, body, headers or {})
        response = self._connection.getresponse()
        content = response.read()
        if response.status not in expected:
            raise RegistryError(f"{method} {path} was answered with {response.status}: {content[:500]!r}")
        return response.status, response.headers, content


def digest_of(content: bytes) -> str:
    """Return the sha256 digest of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encode(document: dict[str, Any]) -> bytes:
    """Return a document as JSON."""
    return json.dumps(document, indent=2).encode()


def make_layer(path: str, seed: str, size: int) -> Layer:
    """Return a gzipped tar archive of one file; `seed` decides its content, `size` is in bytes."""
    content = random.Random(seed).randbytes(size)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(path)
        entry.size = size
        tar.addfile(entry, io.BytesIO(content))
    return Layer(gzip.compress(archive.getvalue(), 1, mtime=0), digest_of(archive.getvalue()))


def descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    """Return the descriptor of some content (image-spec descriptor.md)."""
    return {"mediaType": media_type, "size": len(content), "digest": digest_of(content)}


def put(reference: Reference, platforms: Sequence[str], version: str, form: str) -> None:
    """Upload one image for each platform and their index; print the result.

    Each image has a config and two layers: one of its own, and one that all platforms and versions share.
    """
    types = MEDIA_TYPES[form]
    registry = Registry(reference.host)
    shared = make_layer("usr/share/base", "base", SHARED_LAYER_BYTES)
    entries = []
    blobs_sent = 0
    for platform in platforms:
        os, architecture = platform.split("/")
        own = make_layer("usr/bin/app", f"{version} {platform}", OWN_LAYER_BYTES)
        config = encode(
            {
                "architecture": architecture,
                "os": os,
                "config": {"Labels": {"version": version}},
                "rootfs": {"type": "layers", "diff_ids": [shared.diff_id, own.diff_id]},
            }
        )
        manifest = encode(
            {
                "schemaVersion": 2,
                "mediaType": types.manifest,
                "config": descriptor(types.config, config),
                "layers": [descriptor(types.layer, layer.content) for layer in (shared, own)],
            }
        )
        blobs_sent += sum(
            registry.push_blob(reference.repository, blob) for blob in (shared.content, own.content, config)
        )
        registry.push_manifest(reference.repository, digest_of(manifest), types.manifest, manifest)
        entry = descriptor(types.manifest, manifest) | {"platform": {"architecture": architecture, "os": os}}
        entries.append(entry)
    index = encode({"schemaVersion": 2, "mediaType": types.listing, "manifests": entries})
    registry.push_manifest(reference.repository, reference.name, types.listing, index)
    print(f"{reference} is version {version} for {', '.join(platforms)} ({blobs_sent} blobs sent)")
    print(f"  {digest_of(index)}")


def look(reference: Reference) -> dict[str, Any] | None:
    """Return the digest of a reference and its platforms with their digests, or None if it does not exist."""
    content = Registry(reference.host).fetch_manifest(reference.repository, reference.name)
    if content is None:
        return None
    platforms = {
        "{os}/{architecture}".format_map(entry["platform"]): entry["digest"]
        for entry in json.loads(content).get("manifests", [])
    }
    return {"digest": digest_of(content), "platforms": platforms}


def show(references: Sequence[Reference], form: str) -> None:
    """Print the tags and the platforms of images."""
    found = {str(reference): look(reference) for reference in references}
    if form == "json":
        print(json.dumps(found))
        return
    for name, held in found.items():
        print(f"{name} {held['digest'][:19] if held else 'does not exist'}")
        for platform, digest in held["platforms"].items() if held else ():
            print(f"  {platform:<15} {digest[:19]}")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    putting = commands.add_parser("put", help="upload an image that is made up on the spot, the same every time")
    putting.add_argument("reference", type=Reference.parse)
    putting.add_argument("--platform", action="append", required=True, help="os/architecture; may be repeated")
    putting.add_argument("--version", default="1.0", help="decides what the image holds")
    putting.add_argument("--form", choices=sorted(MEDIA_TYPES), default="oci")
    showing = commands.add_parser("show", help="print the digest and the platforms of references")
    showing.add_argument("references", nargs="+", type=Reference.parse)
    showing.add_argument("--output", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    try:
        if arguments.command == "put":
            put(arguments.reference, arguments.platform, arguments.version, arguments.form)
        else:
            show(arguments.references, arguments.output)
    except (RegistryError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
