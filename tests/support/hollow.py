"""A registry without a store: manifests are kept, and of blobs only that they were there, for content of any size."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from tests.support.images import digest_of
from tests.support.loopback import Handler, LoopbackServer

MIB = 1 << 20
_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<reference>[^/]+)")


@dataclass(frozen=True)
class Repeated:
    """Hold content made of one MiB again and again; nobody has all of it in memory."""

    mebibytes: int
    piece: bytes = bytes(range(256)) * 4096

    @property
    def size(self) -> int:
        return self.mebibytes * MIB

    def __iter__(self) -> Iterator[bytes]:
        return (self.piece for _ in range(self.mebibytes))

    def digest(self) -> str:
        computed = hashlib.sha256()
        for piece in self:
            computed.update(piece)
        return f"sha256:{computed.hexdigest()}"


class _Hollow(Handler):
    owner: "HollowRegistry"

    def read(self) -> None:
        match = _PATH.fullmatch(self.path)
        if self.path == "/v2/":
            self._answer(200)
        elif match is None:
            self._answer(404)
        elif match["kind"] == "manifests":
            self._read_manifest(match["name"], match["reference"])
        else:
            self._read_blob(match["reference"])

    def write(self) -> None:
        path, _, query = self.path.partition("?")
        if "/blobs/uploads/" in path:
            self._write_blob(parse_qs(query).get("digest", [""])[0])
            return
        match = _PATH.fullmatch(path)
        if match is None:
            self._answer(404)
            return
        content = b"".join(self.body_pieces())
        self.owner.put(match["name"], match["reference"], self.headers["Content-Type"], content)
        self._answer(201, {"Docker-Content-Digest": digest_of(content)})

    do_GET = do_HEAD = read  # http.server's names  # noqa: N815 - http.server's names
    do_POST = do_PUT = write  # http.server's names  # noqa: N815 - http.server's names

    def _read_manifest(self, name: str, reference: str) -> None:
        found = self.owner.manifests.get((name, unquote(reference)))
        if found is None:
            self._answer(404)
            return
        media_type, content = found
        self._answer(200, {"Content-Type": media_type, "Docker-Content-Digest": digest_of(content)}, content)

    def _read_blob(self, digest: str) -> None:
        content = self.owner.blobs.get(digest)
        if content is None:
            self._answer(200 if digest in self.owner.received else 404)
            return
        pieces = (content,) if isinstance(content, bytes) else content
        length = len(content) if isinstance(content, bytes) else content.size
        self._answer(200, {"Content-Length": str(length)})
        if self.command == "GET":
            for piece in pieces:
                self.wfile.write(piece)

    def _write_blob(self, digest: str) -> None:
        computed, size = hashlib.sha256(), 0
        for piece in self.body_pieces():
            computed.update(piece)
            size += len(piece)
        if self.command == "POST":
            self._answer(202, {"Location": f"{self.path.partition('?')[0]}1"})
        elif digest == f"sha256:{computed.hexdigest()}":
            self.owner.received[digest] = size
            self._answer(201)
        else:
            self._answer(400)

    def _answer(self, status: int, headers: dict[str, str] | None = None, content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class HollowRegistry(LoopbackServer):
    """Serve `blobs` and what is put, while the context lasts; `received` says which blobs came, and their sizes."""

    handler = _Hollow

    def __init__(self) -> None:
        super().__init__()
        self.blobs: dict[str, bytes | Repeated] = {}
        self.received: dict[str, int] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}

    def put(self, name: str, reference: str, media_type: str, content: bytes) -> None:
        """Keep a manifest under a reference, and under its digest."""
        self.manifests[name, unquote(reference)] = self.manifests[name, digest_of(content)] = (media_type, content)
