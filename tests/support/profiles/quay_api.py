"""The part of Quay's own API that makes a repository: POST /api/v1/repository with an OAuth token."""

import json
from typing import TYPE_CHECKING, Any

from tests.support.profiles.answers import Refused, document
from tests.support.profiles.request import NAME, Request
from tests.support.scripted import Answer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry

PATH = "/api/v1/repository"
_VISIBILITIES = {"public": False, "private": True}


class QuayApi:
    """Answer for the API; it takes the tokens of `ProfileRegistry.api_tokens`, which are none of the token server's."""

    def __init__(self, registry: "ProfileRegistry") -> None:
        self._registry = registry

    def answers(self, path: str) -> bool:
        """Tell whether a path is the API's."""
        return self._registry.profile.access.quay_api and path == PATH

    def answer(self, request: Request) -> Answer:
        """Make a repository in a namespace that exists."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or token not in self._registry.api_tokens:
            return _error(401, "invalid_token", "Invalid bearer token format or expired token")
        if request.method != "POST":
            return _error(405, "method_not_allowed", "The method is not allowed for the requested URL.")
        body = request.read(1 << 20, _error(400, "invalid_request", "the request is too large"))
        with self._registry.guard:
            return self._made(*_asked(body))

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
