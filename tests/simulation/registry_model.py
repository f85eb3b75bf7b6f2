"""Registries as a client sees them, and when they forget what no tag holds.

The model answers requests of the distribution-spec 1.1. Its kinds differ in what is served by digest:

QUAY          a digest is 404 at once when no tag, temporary tag (one hour, by each PUT by digest) or tagged parent
              holds it; the same bytes may be written again; collection removes what is not served
DISTRIBUTION  what was stored is served until untagged manifests are collected
ZOT           what a tag held is 404 by digest as soon as the tag moves; what was written by digest is served until it
              is collected
"""

import enum
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from tests.simulation.images import listed_in

_TEMPORARY_SECONDS: Final = 3600.0
_GRACE: Final = 60.0
_OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_INDEXES: Final = frozenset(
    {
        _OCI_INDEX,
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


class Flavour(enum.Enum):
    """A kind of registry."""

    QUAY = "quay"
    DISTRIBUTION = "distribution"
    ZOT = "zot"


@dataclass(frozen=True)
class Answer:
    """What a registry answers."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        said = self.headers.get("Docker-Content-Digest", "")
        return f"{self.status} {said[7:15]}".rstrip()


@dataclass(frozen=True)
class Manifest:
    """What is stored under a digest."""

    content: bytes
    media_type: str
    children: tuple[str, ...]
    blobs: tuple[str, ...]
    subject: str | None = None

    @classmethod
    def of(cls, content: bytes, media_type: str) -> "Manifest":
        """Read what a manifest needs."""
        document = json.loads(content)
        if media_type in _INDEXES:
            return cls(content, media_type, tuple(entry["digest"] for entry in document["manifests"]), ())
        blobs = (document["config"]["digest"], *(layer["digest"] for layer in document["layers"]))
        return cls(content, media_type, (), blobs, document.get("subject", {}).get("digest"))


@dataclass
class Space:
    """One repository. `temporary` tells until when a digest is held without a tag."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    temporary: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class Write:
    """One change of a tag: what it held before and after (None for absent), by whom."""

    when: float
    repository: str
    tag: str
    old: str | None
    new: str | None
    author: str | None


class Registry:
    """One registry; `lax` ones take an index though a child is missing. `on_write` hears of each change of a tag."""

    def __init__(self, host: str, flavour: Flavour, clock: Callable[[], float], *, lax: bool = False) -> None:
        self.host = host
        self.flavour = flavour
        self.lax = lax
        self.away_until = 0.0
        # Tags that somebody made immutable, as `repository:tag`.
        self.immutable: set[str] = set()
        self.spaces: dict[str, Space] = {}
        self.blobs: dict[str, bytes] = {}
        self.writes: list[Write] = []
        # All that was ever stored, for the records.
        self.archive: dict[str, bytes] = {}
        self.reads: list[tuple[float, str, str, str | None]] = []
        self.on_write: Callable[[Write], None] = lambda _write: None
        self.on_read: Callable[[str], None] = lambda _tag: None
        self._clock = clock
        self._sessions = 0
        self._seen: dict[tuple[str, str], float] = {}

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, author: str | None = None
    ) -> Answer:
        """Answer one request; `author` is whoever makes it, for the records."""
        answer = self._answer(method, target, headers, body, author)
        return answer if method != "HEAD" else replace(answer, body=b"")

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes, author: str | None) -> Answer:
        parts = urlsplit(target)
        name, kind, reference = _route(parts.path)
        if kind == "manifests":
            return self._manifests(method, name, unquote(reference), headers, body, author)
        if kind == "tags":
            tags = json.dumps({"name": name, "tags": sorted(self._space(name).tags)}).encode()
            return Answer(200 if name in self.spaces else 404, {"Content-Type": "application/json"}, tags)
        if kind == "referrers":
            return self._referrers(name, unquote(reference))
        if kind == "uploads":
            return self._uploads(method, name, parse_qs(parts.query), body)
        return self._blobs(method, name, reference)

    def tag(self, repository: str, tag: str) -> str | None:
        """Return the digest of a tag."""
        return self._space(repository).tags.get(tag)

    def content(self, repository: str, digest: str) -> bytes | None:
        """Return a manifest as it was stored, served or not."""
        held = self._space(repository).manifests.get(digest)
        return None if held is None else held.content

    def has_api(self) -> bool:
        """Tell whether the registry lists referrers."""
        return self.flavour is not Flavour.DISTRIBUTION

    def referrers(self, repository: str, subject: str) -> dict[str, Manifest]:
        """Return the manifests that name a subject and that a client finds, by digest."""
        held = self._space(repository).manifests
        return {
            digest: each
            for digest, each in sorted(held.items())
            if each.subject == subject and self.serves(repository, digest)
        }

    def entries(self, repository: str, tag: str) -> frozenset[str]:
        """Return what a list holds under a tag: the digests of manifests, or of layers."""
        digest = self.tag(repository, tag)
        return listed_in(None if digest is None else self.archive.get(digest))

    def put(self, repository: str, content: bytes, media_type: str, tag: str | None, author: str | None) -> str:
        """Store a manifest, whatever it needs."""
        digest = _digest(content)
        space = self.spaces.setdefault(repository, Space())
        space.manifests[digest] = Manifest.of(content, media_type)
        self.archive[digest] = content
        self._seen[repository, digest] = self._clock()
        if tag is None:
            space.temporary[digest] = self._clock() + _TEMPORARY_SECONDS
        else:
            self._move(repository, tag, digest, author)
        return digest

    def serves(self, repository: str, digest: str) -> bool:
        """Tell whether a client finds a manifest by its digest."""
        space = self._space(repository)
        if digest not in space.manifests:
            return False
        return self.flavour is Flavour.DISTRIBUTION or digest in set(self._held(space))

    def collect(self) -> list[str]:
        """Remove what nothing holds, and blobs that no manifest needs; return the digests that went."""
        gone = []
        for name, space in self.spaces.items():
            held = set(self._held(space, temporary=self.flavour is not Flavour.DISTRIBUTION, collects=True))
            if self.lax:
                # Nobody could tell that what was seen moments ago went: such a registry leaves it alone for a while.
                held |= {
                    digest for (of, digest), when in self._seen.items() if of == name and when > self._clock() - _GRACE
                }
            gone += [digest for digest in space.manifests if digest not in held]
            space.manifests = {digest: each for digest, each in space.manifests.items() if digest in held}
        needed = {blob for space in self.spaces.values() for each in space.manifests.values() for blob in each.blobs}
        if self.flavour is Flavour.DISTRIBUTION:
            self.blobs = {digest: content for digest, content in self.blobs.items() if digest in needed}
            for space in self.spaces.values():
                space.blobs = {digest: None for digest in space.blobs if digest in needed}
        return gone

    def end_temporary(self) -> None:
        """Let the time of all temporary tags be over, as if copies had taken an hour."""
        for space in self.spaces.values():
            space.temporary = dict.fromkeys(space.temporary, self._clock())

    def missing(self, repository: str, tag: str) -> list[str]:
        """Return what a tag needs and a client does not find."""
        digest = self._space(repository).tags.get(tag)
        return [] if digest is None else list(self._lacking(repository, digest))

    def _lacking(self, repository: str, digest: str) -> Iterator[str]:
        if not self.serves(repository, digest):
            yield digest
            return
        space = self._space(repository)
        held = space.manifests[digest]
        yield from (blob for blob in held.blobs if blob not in space.blobs or blob not in self.blobs)
        for child in held.children:
            yield from self._lacking(repository, child)

    def _held(self, space: Space, *, temporary: bool = True, collects: bool = False) -> Iterator[str]:
        """Yield the digests that something holds."""
        now = self._clock()
        waiting = list(space.tags.values())
        subjects: dict[str, list[str]] = {}
        for digest, each in space.manifests.items():
            if each.subject is not None:
                subjects.setdefault(each.subject, []).append(digest)
        if temporary:
            # zot serves what was written by digest until it is collected, however long that takes.
            serves = self.flavour is Flavour.ZOT and not collects
            waiting += [digest for digest, until in space.temporary.items() if serves or until > now]
        while waiting:
            digest = waiting.pop()
            held = space.manifests.get(digest)
            if held is not None:
                yield digest
                waiting += held.children
                if self.has_api():
                    waiting += subjects.get(digest, ())

    def _space(self, name: str) -> Space:
        found = self.spaces.get(name)
        return Space() if found is None else found

    def _manifests(
        self, method: str, name: str, reference: str, headers: Mapping[str, str], body: bytes, author: str | None
    ) -> Answer:
        by_digest = reference.startswith("sha256:")
        if method == "PUT":
            return self._put(name, reference, body, headers.get("Content-Type", ""), author, by_digest=by_digest)
        if method == "DELETE":
            return self._delete(name, reference, author, by_digest=by_digest)
        digest = reference if by_digest else self.tag(name, reference)
        if not by_digest:
            self.reads.append((self._clock(), f"{name}:{reference}", author or "", digest))
            self.on_read(f"{name}:{reference}")
        if digest is None or not self.serves(name, digest):
            return _fault(404, "MANIFEST_UNKNOWN")
        self._seen[name, digest] = self._clock()
        held = self.spaces[name].manifests[digest]
        described = {
            "Content-Type": held.media_type,
            "Content-Length": str(len(held.content)),
            "Docker-Content-Digest": digest,
        }
        return Answer(200, described, held.content if method == "GET" else b"")

    def _put(
        self, name: str, reference: str, body: bytes, media_type: str, author: str | None, *, by_digest: bool
    ) -> Answer:
        digest = _digest(body)
        if by_digest and digest != reference:
            return _fault(400, "DIGEST_INVALID")
        space = self.spaces.setdefault(name, Space())
        if f"{name}:{reference}" in self.immutable and space.tags.get(reference) != digest:
            return _fault(409, "TAG_IMMUTABLE")
        manifest = Manifest.of(body, media_type)
        lacking = [blob for blob in manifest.blobs if blob not in space.blobs or blob not in self.blobs]
        if not self.lax:
            known = space.manifests if self.flavour is Flavour.QUAY else None
            lacking += [
                child
                for child in manifest.children
                if (child not in known if known is not None else not self.serves(name, child))
            ]
        if lacking:
            return _fault(400, "MANIFEST_INVALID" if self.flavour is Flavour.QUAY else "MANIFEST_BLOB_UNKNOWN")
        self.put(name, body, media_type, None if by_digest else reference, author)
        # Quay lists referrers, and does not say so when it stores one.
        says_so = self.has_api() and self.flavour is not Flavour.QUAY
        listed = {"OCI-Subject": manifest.subject} if says_so and manifest.subject is not None else {}
        location = {"Docker-Content-Digest": digest, "Location": f"/v2/{name}/manifests/{digest}"}
        return Answer(201, location | listed)

    def _referrers(self, name: str, subject: str) -> Answer:
        if not self.has_api():
            return _fault(404, "NOT_FOUND")
        if self.flavour is Flavour.QUAY and subject not in self.spaces[name].manifests:
            return _fault(400, "MANIFEST_INVALID")
        entries = [
            {
                "mediaType": each.media_type,
                "digest": digest,
                "size": len(each.content),
                "artifactType": json.loads(each.content).get("artifactType", ""),
            }
            for digest, each in self.referrers(name, subject).items()
        ]
        index = {"schemaVersion": 2, "mediaType": _OCI_INDEX, "manifests": entries}
        return Answer(200, {"Content-Type": _OCI_INDEX}, json.dumps(index).encode())

    def _delete(self, name: str, reference: str, author: str | None, *, by_digest: bool) -> Answer:
        space = self._space(name)
        if not by_digest:
            if self.flavour is Flavour.DISTRIBUTION:
                return _fault(400, "DIGEST_INVALID")
            if reference not in space.tags:
                return _fault(404, "MANIFEST_UNKNOWN")
            self._move(name, reference, None, author)
            return Answer(202)
        if not self.serves(name, reference):
            return _fault(404, "MANIFEST_UNKNOWN")
        for tag in [tag for tag, digest in space.tags.items() if digest == reference]:
            self._move(name, tag, None, author)
        space.manifests.pop(reference, None)
        return Answer(202)

    def _move(self, repository: str, tag: str, digest: str | None, author: str | None) -> None:
        space = self.spaces.setdefault(repository, Space())
        old = space.tags.get(tag)
        if digest is None:
            space.tags.pop(tag, None)
        else:
            space.tags[tag] = digest
        if self.flavour is Flavour.ZOT and old is not None and old != digest:
            space.temporary.pop(old, None)
        write = Write(self._clock(), repository, tag, old, digest, author)
        self.writes.append(write)
        self.on_write(write)

    def _uploads(self, method: str, name: str, query: Mapping[str, list[str]], body: bytes) -> Answer:
        space = self.spaces.setdefault(name, Space())
        if method == "POST":
            mounted = query.get("mount", [""])[0]
            origin = self._space(query.get("from", [""])[0])
            if mounted and mounted in origin.blobs and mounted in self.blobs:
                space.blobs[mounted] = None
                return Answer(201, {"Location": f"/v2/{name}/blobs/{mounted}"})
            self._sessions += 1
            return Answer(202, {"Location": f"/v2/{name}/blobs/uploads/{self._sessions}", "Range": "0-0"})
        if method == "PUT":
            digest = query["digest"][0]
            if _digest(body) != digest:
                return _fault(400, "DIGEST_INVALID")
            self.blobs[digest] = body
            space.blobs[digest] = None
            return Answer(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})
        return Answer(204, {"Range": "0-0", "Location": f"/v2/{name}/blobs/uploads/1"})

    def _blobs(self, method: str, name: str, digest: str) -> Answer:
        if digest not in self._space(name).blobs or digest not in self.blobs:
            return _fault(404, "BLOB_UNKNOWN")
        content = self.blobs[digest]
        return Answer(200, {"Content-Length": str(len(content))}, content if method == "GET" else b"")


def _route(path: str) -> tuple[str, str, str]:
    """Return the repository, the kind of what is asked for, and its reference."""
    path = path.removeprefix("/v2/")
    for kind in ("/blobs/uploads", "/manifests/", "/blobs/", "/tags/", "/referrers/"):
        name, found, rest = path.partition(kind)
        if found:
            return name, kind.strip("/").rpartition("/")[2], rest.strip("/")
    raise NotImplementedError(path)


def _fault(status: int, code: str) -> Answer:
    body: dict[str, Any] = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
