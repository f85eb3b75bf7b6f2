"""The actions that a readable token allows (Distribution's "jwt" specification, "Resource Actions").

The token of a registry may be a JWT whose payload says `access: [{"type": "repository", "name": …, "actions": […]}]`.
The signature is not checked, which is the registry's task: the payload only tells of a refusal before it happens.
"""

import base64
from typing import Final

import msgspec

from tasks.errors import NamespaceMissing, RegistryError, RightMissing

_LONGEST: Final = 64 * 1024


class _Access(msgspec.Struct):
    type: str = ""
    name: str = ""
    actions: list[str] = []


class _Payload(msgspec.Struct):
    access: list[_Access] | None = None


_payloads: Final = msgspec.json.Decoder(_Payload)


class Grant(msgspec.Struct, frozen=True):
    """The actions that a token allows in one repository."""

    actions: frozenset[str]

    @property
    def may_push(self) -> bool:
        """Whether a push is allowed."""
        return bool(self.actions & {"push", "*"})


def read_grant(token: str, repository: str) -> Grant | None:
    """Return the grant of a token in a repository, None if the token is not readable."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LONGEST:  # noqa: PLR2004
        return None
    try:
        payload = _payloads.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        # Errors of base64, of msgspec and of Unicode are ValueErrors.
        return None
    if payload.access is None:
        return None
    own = [each.actions for each in payload.access if each.type == "repository" and each.name == repository]
    return Grant(frozenset(action for actions in own for action in actions))


def lacking_right(grant: Grant, registry: str, repository: str, user: str | None) -> RegistryError | None:
    """Return the error of a push with a grant that does not allow it, None if it does.

    `user` is the name of the user, "" if it is unknown, None without credentials.
    """
    if grant.may_push:
        return None
    who = "a user without credentials" if user is None else f"the user {user}" if user else "this user"
    if user is not None and not grant.actions:
        return NamespaceMissing(
            f"{registry} lets {who} do nothing in {repository}: there is no such namespace, or no right in it."
        )
    allowed = f"only {', '.join(sorted(grant.actions))}" if grant.actions else "nothing"
    return RightMissing(f"{registry} lets {who} do {allowed} in {repository}, which is not enough for a push.")
