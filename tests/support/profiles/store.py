"""What a registry holds, and for how long: a model in memory that knows nothing of HTTP."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support import images
from tests.support.profiles.profile import ManifestRules, UploadRules


def digest_like(digest: str, content: bytes) -> str:
    """Return the digest of content by the algorithm of another digest."""
    algorithm = digest.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@dataclass(frozen=True)
class Manifest:
    """The bytes of a manifest and the media type that it was put with."""

    media_type: str
    content: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        return images.digest_of(self.content)

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.content)
        return found

    @property
    def is_index(self) -> bool:
        return self.media_type in {images.OCI_INDEX, images.DOCKER_LIST}

    def children(self) -> list[str]:
        """Return the digests of the manifests that an index lists."""
        return [each["digest"] for each in self.document.get("manifests", [])] if self.is_index else []

    def blobs(self) -> list[str]:
        """Return the digests of the blobs that an image needs; layers with urls need not be there."""
        if self.is_index:
            return []
        found = self.document
        needed = [found.get("config"), *(found.get("layers") or []), *(found.get("blobs") or [])]
        return [each["digest"] for each in needed if each and not each.get("urls")]


@dataclass(frozen=True)
class Hold:
    """What keeps a manifest readable until a moment: a temporary tag, or a tag that has ended."""

    digest: str
    until: float


@dataclass
class Repository:
    """One repository: tags, manifests that are readable or kept, and links to blobs with the time of the upload."""

    name: str
    private: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    deleted_tags: set[str] = field(default_factory=set)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    blobs: dict[str, float] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.name.partition("/")[0]

    def ancestors(self, digest: str) -> Iterator[str]:
        """Yield a digest and all indexes that lead to it."""
        seen, waiting = set[str](), [digest]
        while waiting:
            each = waiting.pop()
            if each not in seen:
                seen.add(each)
                yield each
                waiting += [parent for parent, found in self.manifests.items() if each in found.children()]


class Store:
    """All repositories of a registry; `now` is the time in seconds."""

    def __init__(self, manifests: ManifestRules, uploads: UploadRules, now: Callable[[], float]) -> None:
        self._rules = manifests
        self._blob_seconds = uploads.uploaded_blob_seconds
        self._now = now
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}

    def create(self, name: str, *, private: bool = False) -> Repository:
        """Return the repository of that name, made where it does not exist."""
        return self.repositories.setdefault(name, Repository(name, private))

    def link(self, repository: Repository, digest: str, content: bytes | None = None) -> None:
        """Make a blob readable in a repository; without content it is one that the registry has."""
        if content is not None:
            self.blobs[digest] = content
        repository.blobs[digest] = self._now()

    def put(self, repository: Repository, manifest: Manifest, tags: tuple[str, ...], *, by: str = "") -> None:
        """Keep a manifest under its digest (`by`, where that is of another algorithm than sha256) and under tags."""
        digest = by or manifest.digest
        repository.manifests[digest] = manifest
        if not tags:
            repository.holds.append(Hold(digest, self._now() + self._rules.temporary_tag_seconds))
        for tag in tags:
            before = repository.tags.get(tag)
            repository.tags[tag] = digest
            if before is not None and before != digest:
                self._released(repository, before)

    def untag(self, repository: Repository, tag: str) -> None:
        """Delete one tag."""
        digest = repository.tags.pop(tag)
        repository.deleted_tags.add(tag)
        self._released(repository, digest)

    def delete(self, repository: Repository, digest: str) -> None:
        """Delete a manifest and all tags that name it."""
        for tag in [tag for tag, found in repository.tags.items() if found == digest]:
            self.untag(repository, tag)
        if self._rules.untagged == "hidden":
            now = self._now()
            repository.holds = [
                Hold(hold.digest, min(hold.until, now)) if hold.digest == digest else hold for hold in repository.holds
            ]
        else:
            repository.manifests.pop(digest, None)

    def readable(self, repository: Repository, digest: str) -> Manifest | None:
        """Return a manifest that may be read by its digest."""
        found = repository.manifests.get(digest)
        if found is None or self._rules.untagged != "hidden" or self._held_until(repository, digest) > self._now():
            return found
        return None

    def size(self, namespace: str) -> int:
        """Return the bytes of the distinct blobs of a namespace."""
        linked = {digest for each in self.repositories.values() if each.namespace == namespace for digest in each.blobs}
        return sum(len(self.blobs[digest]) for digest in linked)

    def collect(self) -> None:
        """Collect garbage: manifests that were unreadable for the time machine's span, blobs that nothing needs."""
        for repository in self.repositories.values():
            if self._rules.untagged == "hidden":
                self._collect_manifests(repository)
            self._collect_blobs(repository)
        linked = {digest for each in self.repositories.values() for digest in each.blobs}
        self.blobs = {digest: content for digest, content in self.blobs.items() if digest in linked}

    def _released(self, repository: Repository, digest: str) -> None:
        repository.holds.append(Hold(digest, self._now()))
        held = digest in repository.tags.values() or any(each != digest for each in repository.ancestors(digest))
        if self._rules.untagged == "dropped" and not held:
            repository.manifests.pop(digest, None)

    def _held_until(self, repository: Repository, digest: str) -> float:
        holders = set(repository.ancestors(digest))
        if holders & set(repository.tags.values()):
            return float("inf")
        return max((hold.until for hold in repository.holds if hold.digest in holders), default=0.0)

    def _collect_manifests(self, repository: Repository) -> None:
        end = self._now() - self._rules.time_machine_seconds
        gone = [digest for digest in repository.manifests if self._held_until(repository, digest) <= end]
        for digest in gone:
            del repository.manifests[digest]
        repository.holds = [hold for hold in repository.holds if hold.digest in repository.manifests]

    def _collect_blobs(self, repository: Repository) -> None:
        needed = {digest for each in repository.manifests.values() for digest in each.blobs()}
        end = self._now() - self._blob_seconds
        repository.blobs = {
            digest: linked for digest, linked in repository.blobs.items() if digest in needed or linked > end
        }
