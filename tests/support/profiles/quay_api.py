"""The part of Quay's own API that makes repositories and tells of tags and quotas, with an OAuth token.

POST /api/v1/repository
GET  /api/v1/repository/NAMESPACE/NAME/tag/?specificTag=TAG&onlyActiveTags=true
GET  /api/v1/organization/NAMESPACE
GET  /api/v1/organization/NAMESPACE/immutabilitypolicy/
GET  /api/v1/repository/NAMESPACE/NAME/immutabilitypolicy/
GET  /api/v1/user/
"""

import fnmatch
import json
import re
from typing import TYPE_CHECKING, Any

from tests.support.profiles.answers import Refused, document
from tests.support.profiles.request import NAME, Request
from tests.support.profiles.store import Repository
from tests.support.scripted import Answer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry

_BASE = "/api/v1/"
_REPOSITORY = f"{_BASE}repository"
_TAGS = re.compile(f"{_REPOSITORY}/(?P<name>.+)/tag/")
_ORGANIZATION = re.compile(f"{_BASE}organization/(?P<namespace>[^/]+)")
_POLICIES = re.compile(f"{_BASE}(?P<kind>organization|repository)/(?P<name>.+)/immutabilitypolicy/")
_VISIBILITIES = {"public": False, "private": True}


class QuayApi:
    """Answer for the API; it takes the tokens of `ProfileRegistry.api_tokens`, which are none of the token server's.

    A namespace is an organization, unless it is the user `ProfileRegistry.api_user`, whose tokens they are.
    """

    def __init__(self, registry: "ProfileRegistry") -> None:
        self._registry = registry

    def answers(self, path: str) -> bool:
        """Tell whether a path is the API's."""
        return self._registry.profile.access.quay_api and path.startswith(_BASE)

    def answer(self, request: Request) -> Answer:
        """Answer one request of a token."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or token not in self._registry.api_tokens:
            return _error(401, "invalid_token", "Invalid bearer token format or expired token")
        if request.path == _REPOSITORY:
            if request.method != "POST":
                return _error(405, "method_not_allowed", "The method is not allowed for the requested URL.")
            body = request.read(1 << 20, _error(400, "invalid_request", "the request is too large"))
            with self._registry.guard:
                return self._made(*_asked(body))
        with self._registry.guard:
            return self._told(request)

    def _told(self, request: Request) -> Answer:
        user = self._registry.api_user
        if match := _POLICIES.fullmatch(request.path):
            return self._policies(match["kind"], match["name"])
        if match := _TAGS.fullmatch(request.path):
            found = self._registry.store.repositories.get(match["name"])
            return _error(404, "not_found", "Not Found") if found is None else self._tag(found, request)
        if (match := _ORGANIZATION.fullmatch(request.path)) and match["namespace"] != user:
            if not self._registry.access.exists(match["namespace"]):
                return _error(404, "not_found", "Not Found")
            told: dict[str, Any] = {
                "name": match["namespace"],
                "email": "",
                "is_admin": False,
                "is_member": True,
                "teams": {},
            }
            return document(200, told | self._quota(match["namespace"]))
        if request.path == f"{_BASE}user/":
            return document(200, {"anonymous": False, "username": user, "is_me": True} | self._quota(user))
        return _error(404, "not_found", "Not Found")

    def _tag(self, repository: Repository, request: Request) -> Answer:
        tag = request.first("specificTag") or ""
        digest = repository.tags.get(tag)
        told = {
            "name": tag,
            "reversion": False,
            "immutable": self._registry.is_immutable(tag),
            "start_ts": 1_700_000_000,
            "manifest_digest": digest,
            "is_manifest_list": digest is not None and repository.manifests[digest].is_index,
            "size": None,
            "last_modified": "Tue, 14 Nov 2023 22:13:20 -0000",
        }
        return document(200, {"tags": [told] if digest else [], "page": 1, "has_additional": False})

    def _policies(self, kind: str, name: str) -> Answer:
        if not self._registry.api_admin:
            return _error(403, "insufficient_scope", "Unauthorized")
        if kind == "repository" and name not in self._registry.store.repositories:
            return _error(404, "not_found", "Not Found")
        patterns = self._registry.immutable if kind == "organization" else ()
        policies = [
            {"uuid": f"policy-{number}", "tagPattern": fnmatch.translate(pattern), "tagPatternMatches": True}
            for number, pattern in enumerate(patterns)
        ]
        return document(200, {"policies": policies})

    def _quota(self, namespace: str) -> dict[str, Any]:
        limit = self._registry.quota_bytes
        limits = [{"id": 1, "type": "Warning", "limit_percent": 80}, {"id": 2, "type": "Reject", "limit_percent": 100}]
        return {
            "quotas": [] if limit is None else [{"id": 1, "limit_bytes": limit, "limits": limits}],
            "quota_report": {
                "quota_bytes": self._registry.store.size(namespace),
                "configured_quota": limit,
                "running_backfill": "complete",
                "backfill_status": "complete",
            },
        }

    def _made(self, namespace: str, name: str, visibility: str) -> Answer:
        store = self._registry.store
        if not self._registry.access.exists(namespace):
            return _error(403, "insufficient_scope", "Unauthorized")
        if self._registry.read_only:
            return _error(503, "exceeded", "System is currently read-only")
        if f"{namespace}/{name}" in store.repositories:
            return _error(400, "invalid_request", "Repository already exists")
        store.create(f"{namespace}/{name}", private=_VISIBILITIES[visibility])
        return document(201, {"namespace": namespace, "name": name, "kind": "image"})


def _asked(body: bytes) -> tuple[str, str, str]:
    try:
        asked: Any = json.loads(body)
        found = asked["namespace"], asked["repository"], asked["visibility"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(_error(400, "invalid_request", "namespace, repository and visibility are needed")) from error
    if found[2] not in _VISIBILITIES or "description" not in asked or not NAME.fullmatch(f"{found[0]}/{found[1]}"):
        raise Refused(_error(400, "invalid_request", "Invalid request"))
    return found


def _error(status: int, kind: str, detail: str) -> Answer:
    content = {"detail": detail, "error_message": detail, "error_type": kind, "title": kind, "status": status}
    return document(status, content)
