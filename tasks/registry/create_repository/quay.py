"""Creation of repositories by Quay's own API (POST /api/v1/repository, with an OAuth token)."""

from typing import Final, Literal

import msgspec

from tasks.errors import AuthenticationRefused, NamespaceMissing, RequestRefused
from tasks.registry.http.exchange import Request
from tasks.registry.http.refusal import explain
from tasks.registry.transport import Transport

_PATH: Final = "/api/v1/repository"
_MADE: Final = frozenset({200, 201})
_REFUSED: Final = frozenset({401, 403})


def create(transport: Transport, name: str, visibility: Literal["private", "public"]) -> None:
    """Make a repository in its namespace; an existing one is no error.

    Raises NamespaceMissing for a name without a namespace, AuthenticationRefused if the token does not allow it,
    RegistryError.
    """
    namespace, _, repository = name.partition("/")
    if not repository:
        raise NamespaceMissing(f"{transport.registry}/{name} is in no namespace, where Quay makes no repository.")
    asked = {"namespace": namespace, "repository": repository, "visibility": visibility, "description": ""}
    request = Request(
        method="POST",
        target=_PATH,
        repository=name,
        scopes=frozenset(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
        body=msgspec.json.encode({**asked, "repo_kind": "image"}),
        expect=_MADE | _REFUSED | {400},
        authorization=f"Bearer {transport.settings.api_token}",
    )
    response = transport.send(request)
    if response.status in _MADE or b"already exists" in response.content:
        return
    said = explain("POST", response)
    if response.status in _REFUSED:
        raise AuthenticationRefused(
            f"{said}. The token of `api_token_file` cannot make {name}: is there an organization {namespace}, and may"
            " the token create repositories in it?"
        )
    raise RequestRefused(f"{said}.")
