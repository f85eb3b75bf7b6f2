"""The part of Harbor's own API that tells of tags and quotas, with user and password.

GET /api/v2.0/projects/PROJECT/summary
GET /api/v2.0/projects/PROJECT/immutabletagrules
GET /api/v2.0/projects/PROJECT/artifacts?q=digest=DIGEST,base=*
GET /api/v2.0/projects/PROJECT/repositories/NAME/artifacts/REFERENCE/tags?with_immutable_status=true&q=name=TAG

A slash in NAME is encoded twice. Without `base=*` the parts of an index are left out.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.support.profiles.answers import Refused, document, error
from tests.support.profiles.request import Request
from tests.support.profiles.store import Manifest, Repository
from tests.support.scripted import Answer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry

_BASE = "/api/v2.0/"
_PROJECT = re.compile(f"{_BASE}projects/(?P<project>[^/]+)/(?P<rest>summary|artifacts|immutabletagrules)")
_TAGS = re.compile(
    f"{_BASE}projects/(?P<project>[^/]+)/repositories/(?P<name>[^/]+)/artifacts/(?P<reference>[^/]+)/tags"
)
_UNLIMITED = -1


class HarborApi:
    """Answer for the API to all users of the registry; anonymous requests are refused."""

    def __init__(self, registry: "ProfileRegistry") -> None:
        self._registry = registry

    def answers(self, path: str) -> bool:
        """Tell whether a path is the API's."""
        return self._registry.profile.access.harbor_api and path.startswith(_BASE)

    def answer(self, request: Request) -> Answer:
        """Answer one request of a user."""
        unauthorized = error(401, "UNAUTHORIZED", "unauthorized")
        try:
            if self._registry.access.login(request.headers.get("Authorization")) is None:
                return unauthorized
        except Refused:
            return unauthorized
        with self._registry.guard:
            if match := _TAGS.fullmatch(request.path):
                return self._tags(f"{match['project']}/{unquote(unquote(match['name']))}", match["reference"], request)
            match = _PROJECT.fullmatch(request.path)
            if match is None or not self._registry.access.exists(match["project"]):
                return error(404, "NOT_FOUND", "path or project not found")
            if match["rest"] == "summary":
                return document(200, self._summary(match["project"]))
            if match["rest"] == "immutabletagrules":
                if not self._registry.api_admin:
                    return error(403, "FORBIDDEN", "forbidden")
                return document(200, list(self._rules()))
            return document(200, list(self._artifacts(match["project"], request.first("q") or "")))

    def _tags(self, name: str, reference: str, request: Request) -> Answer:
        found = self._registry.store.repositories.get(name)
        digest = None if found is None else found.tags.get(reference, reference)
        if found is None or digest not in found.manifests:
            return error(404, "NOT_FOUND", f"artifact {name}:{reference} not found")
        shown = request.first("with_immutable_status") == "true"
        wanted = (request.first("q") or "").removeprefix("name=")
        tags = sorted(tag for tag, held in found.tags.items() if held == digest and wanted in {"", tag})
        told = [
            {"id": 1, "name": tag, "immutable": shown and self._registry.is_immutable(tag), "artifact_id": 1}
            for tag in tags
        ]
        return document(200, told)

    def _summary(self, project: str) -> dict[str, Any]:
        limit = self._registry.quota_bytes
        hard = {"storage": _UNLIMITED if limit is None else limit}
        return {
            "repo_count": sum(each.namespace == project for each in self._registry.store.repositories.values()),
            "quota": {"hard": hard, "used": {"storage": self._registry.store.size(project)}},
        }

    def _rules(self) -> Iterator[dict[str, Any]]:
        for pattern in self._registry.immutable:
            yield {
                "disabled": False,
                "action": "immutable",
                "template": "immutable_template",
                "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": pattern}],
                "scope_selectors": {
                    "repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]
                },
            }

    def _artifacts(self, project: str, query: str) -> Iterator[dict[str, Any]]:
        wanted = dict(each.partition("=")[::2] for each in query.split(","))
        for repository in self._registry.store.repositories.values():
            for digest, manifest in repository.manifests.items():
                shown = wanted.get("base") == "*" or not _is_part(repository, digest)
                if repository.namespace == project and shown and wanted.get("digest") in {None, digest}:
                    yield _artifact(repository, digest, manifest)


def _is_part(repository: Repository, digest: str) -> bool:
    tagged = digest in repository.tags.values()
    return not tagged and any(each != digest for each in repository.ancestors(digest))


def _artifact(repository: Repository, digest: str, manifest: Manifest) -> dict[str, Any]:
    return {"digest": digest, "manifest_media_type": manifest.media_type, "repository_name": repository.name}
