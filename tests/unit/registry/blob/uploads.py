"""One blob on its way out, as requests of a scripted registry."""

import json
import random
from dataclasses import dataclass, field, replace

from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import digest_of
from tasks.registry.blob.verified import Reader
from tasks.registry.settings import HttpLimits, RegistrySettings
from tests.support.readers import MemoryReader
from tests.support.scripted import Answer, Exchange, NoAnswer, Received, Reply, ScriptedRegistry
from tests.unit.registry.clients import PING, QUICK, SESSION, UPLOADS, blob_of, blob_path, client

OPENED = Answer(202, {"Location": SESSION, "Range": "0-0"})
POST = Exchange("POST", UPLOADS, OPENED, request_body=b"")
AGAIN = f"{UPLOADS}2"
POST_AGAIN = Exchange("POST", UPLOADS, Answer(202, {"Location": AGAIN}), request_body=b"")
STORED = Answer(201)


@dataclass(frozen=True)
class Upload:
    """One content, and the requests that bring it to a registry."""

    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def blob(self) -> Descriptor:
        return blob_of(self.content)

    @property
    def path(self) -> str:
        return blob_path(self.content)

    def commit(self, session: str = SESSION) -> str:
        return f"{session}{'&' if '?' in session else '?'}digest={self.blob.digest}"

    def put(self, reply: Reply = STORED, start: int = 0, session: str = SESSION, read: int | None = None) -> Exchange:
        """Return a PUT of the content from `start` on, taken whole unless `read` says otherwise."""
        span = f"{start}-{self.size - 1}" if 0 < start < self.size else None
        headers = {"Content-Length": str(self.size - start), "Content-Range": span}

        def check(received: Received) -> None:
            assert received.body_digest == digest_of(self.content[start:])

        checked = check if read is None else None
        return Exchange("PUT", self.commit(session), reply, request_headers=headers, check=checked, read=read)

    def patch(self, reply: Reply, start: int = 0, session: str = SESSION, read: int | None = None) -> Exchange:
        return replace(self.put(reply, start, session, read), method="PATCH", path=session)

    def lost(self) -> Exchange:
        """Return a PUT whose connection is lost in its middle: far more is on its way than sockets hold."""
        return self.put(NoAnswer.DROP, read=600_000)

    def absent(self) -> Exchange:
        return Exchange("HEAD", self.path, Answer(404))

    def present(self, size: int | None = None) -> Exchange:
        """Return the look at a stored blob, of its own size unless another one is said."""
        length = self.size if size is None else size
        return Exchange("HEAD", self.path, Answer(200, {"Content-Length": str(length)}))

    def push(
        self,
        registry: ScriptedRegistry,
        limits: HttpLimits = QUICK,
        source: Reader | None = None,
        settings: RegistrySettings | None = None,
    ) -> list[int]:
        """Bring the content there, and return what the progress was told."""
        done: list[int] = []
        destination = client(registry.host, role="destination", push=True, limits=limits, settings=settings)
        destination.blob_upload(self.blob, source or MemoryReader(self.content), done.append).run()
        return done


CANCEL = Exchange("DELETE", SESSION, Answer(204))
SMALL = Upload(random.Random("small").randbytes(200_000))
BIG = Upload(random.Random("big").randbytes(16_000_000))


def status(stored: int | None, location: str = SESSION) -> Exchange:
    """Return what a session says when it is asked where it stands; None where it is gone."""
    if stored is None:
        return Exchange("GET", SESSION, Answer(404))
    return Exchange("GET", SESSION, Answer(204, {"Location": location, "Range": f"0-{max(0, stored - 1)}"}))


def patching(upload: Upload, *script: Exchange) -> list[Exchange]:
    """Return the script of a registry that takes no single PUT, up to the PATCH."""
    return [PING, POST, upload.put(Answer(405), read=0), CANCEL, POST, *script]


def taken(upload: Upload, stored: int | None = None) -> Answer:
    last = (upload.size if stored is None else stored) - 1
    return Answer(202, {"Location": SESSION, "Range": f"0-{last}"})


def errors(status: int, code: str) -> Answer:
    return Answer(status, body=json.dumps({"errors": [{"code": code}]}).encode())
