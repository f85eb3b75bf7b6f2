"""Reading, putting and deleting manifests."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.support import images
from tests.support.profiles import parts
from tests.support.profiles.answers import Refused, error
from tests.support.profiles.profile import DIGEST_INVALID
from tests.support.profiles.request import DIGEST, Request
from tests.support.profiles.store import Manifest, Repository, digest_like
from tests.support.scripted import Answer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


class Manifests:
    """Answer for `/manifests/REFERENCE`."""

    def __init__(self, registry: "ProfileRegistry") -> None:
        self._registry = registry
        self._rules = registry.profile.manifests
        self._tags = registry.profile.tags
        self._lagging: dict[tuple[str, str], tuple[int, str | None]] = {}

    def read(self, request: Request) -> Answer:
        with self._registry.guard:
            repository = self._registry.access.repository(request)
            found = self._accepted(request, repository, self._find(request, repository))
        if self._registry.objects.takes("manifests", request):
            return Answer(307, {"Location": self._registry.objects.sign(found.content, found.media_type)})
        digest = request.reference if DIGEST.fullmatch(request.reference) else found.digest
        if request.method == "HEAD" and self._rules.head_digest == "another" and digest != request.reference:
            digest = images.digest_of(b"rewritten: " + found.content)
        return Answer(200, {"Content-Type": found.media_type, "Docker-Content-Digest": digest}, found.content)

    def put(self, request: Request) -> Answer:
        content = request.read(self._rules.max_bytes, self._rules.too_large.answer())
        with self._registry.guard:
            self._registry.refuse_writes(request, "")
            repository = self._registry.access.repository_to_write(request)
            manifest = self._parsed(request, content)
            digest = request.reference if DIGEST.fullmatch(request.reference) else manifest.digest
            tags = self._tags_of(request)
            for tag in tags:
                self._refuse_immutable(request, repository, tag, digest)
            parts.refuse_unfit(self._rules, self._registry.store, repository, manifest, tagged=bool(tags))
            self._registry.refuse_writes(request, "manifest")
            for tag in tags if self._tags.lag else ():
                self._lagging[request.name, tag] = self._tags.lag, repository.tags.get(tag)
            self._registry.store.put(repository, manifest, tags, by=digest)
        return Answer(201, list(self._headers(request, manifest, digest, tags)))

    def delete(self, request: Request) -> Answer:
        with self._registry.guard:
            self._registry.refuse_writes(request, "")
            repository = self._registry.access.repository(request)
            by_digest = DIGEST.fullmatch(request.reference) is not None
            if self._tags.delete == "none" or (self._tags.delete == "digest" and not by_digest):
                raise Refused(self._tags.delete_refusal.answer(tag=request.reference))
            found = self._find(request, repository)
            if by_digest:
                for tag in [tag for tag, digest in repository.tags.items() if digest == request.reference]:
                    self._refuse_immutable(request, repository, tag, "")
                self._registry.store.delete(repository, request.reference)
            else:
                self._refuse_immutable(request, repository, request.reference, "")
                self._registry.store.untag(repository, request.reference)
        return Answer(202, {"Docker-Content-Digest": found.digest})

    def _find(self, request: Request, repository: Repository) -> Manifest:
        reference = request.reference
        if self._rules.digest_as_tag and reference.startswith("sha256-") and reference not in repository.tags:
            reference = reference.replace("-", ":", 1)
        left, before = self._lagging.get((request.name, reference), (0, None))
        if left:
            self._lagging[request.name, reference] = left - 1, before
            if before is None:
                raise Refused(parts.UNKNOWN.answer())
            return repository.manifests[before]
        if not DIGEST.fullmatch(reference) and reference in repository.tags:
            return repository.manifests[repository.tags[reference]]
        found = self._registry.store.readable(repository, reference) if DIGEST.fullmatch(reference) else None
        if found is None:
            refusal = self._tags.deleted if reference in repository.deleted_tags else parts.UNKNOWN
            raise Refused(refusal.answer(tag=reference, repository=repository.name))
        return found

    def _accepted(self, request: Request, repository: Repository, found: Manifest) -> Manifest:
        """Return what a client with this Accept header gets."""
        listed = {each.partition(";")[0].strip() for each in request.headers.get("Accept", "").split(",")}
        if self._rules.accept == "as_it_is" or found.media_type in listed or not found.is_index:
            return found
        if self._rules.accept == "schema1":
            return _converted(repository, request.reference)
        if found.media_type == images.DOCKER_LIST:
            for each in found.document["manifests"]:
                if (each["platform"]["os"], each["platform"]["architecture"]) == ("linux", "amd64"):
                    return repository.manifests[each["digest"]]
        raise Refused(parts.UNKNOWN.answer())

    def _parsed(self, request: Request, content: bytes) -> Manifest:
        media_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
        try:
            document = json.loads(content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Refused(error(400, "MANIFEST_INVALID", "manifest invalid", "not a JSON object"))
        if document.get("mediaType", media_type) != media_type:
            self._registry.violate(request, "Content-Type is not the manifest's mediaType")
            raise Refused(error(400, "MANIFEST_INVALID", "manifest invalid", "Content-Type and mediaType differ"))
        if DIGEST.fullmatch(request.reference) and digest_like(request.reference, content) != request.reference:
            self._registry.violate(request, "the manifest has another digest")
            raise Refused(DIGEST_INVALID.answer())
        return Manifest(media_type, content)

    def _tags_of(self, request: Request) -> tuple[str, ...]:
        if not DIGEST.fullmatch(request.reference):
            return (request.reference,)
        return tuple(request.query.get("tag", [])) if self._rules.several_tags else ()

    def _refuse_immutable(self, request: Request, repository: Repository, tag: str, digest: str) -> None:
        held = repository.tags.get(tag)
        if held is not None and held != digest and self._registry.is_immutable(tag):
            raise Refused(self._tags.immutable.answer(repository=request.name, tag=tag, digest=held))

    def _headers(
        self, request: Request, manifest: Manifest, digest: str, tags: tuple[str, ...]
    ) -> Iterator[tuple[str, str]]:
        yield "Location", f"{self._registry.url}/v2/{request.name}/manifests/{digest}"
        yield "Docker-Content-Digest", digest
        subject, rules = manifest.document.get("subject"), self._registry.profile.referrers
        if subject and rules.api and rules.names_subject:
            yield "OCI-Subject", subject["digest"]
        if self._rules.several_tags and DIGEST.fullmatch(request.reference):
            yield from (("OCI-Tag", tag) for tag in tags)


def _converted(repository: Repository, tag: str) -> Manifest:
    document = {"schemaVersion": 1, "name": repository.name, "tag": tag, "fsLayers": [], "history": []}
    return Manifest(SCHEMA_1, json.dumps(document | {"architecture": "amd64"}).encode())
