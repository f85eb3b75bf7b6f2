"""The users of the page: by its own login, by the header of a reverse proxy, or anonymous on loopback."""

import base64
import binascii
import getpass
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from workers.settings.page import PageSettings

OPEN_PATHS: Final = ("/healthcheck",)
_LONGEST_NAME: Final = 200
_CHALLENGE: Final = 'Basic realm="imagepusher", charset="UTF-8"'


@dataclass(frozen=True)
class User:
    """A user who may read the page, and also act if `acts`."""

    name: str
    acts: bool


def identify(settings: PageSettings, headers: Headers, peer: str) -> User | None:
    """Return the user of a request, None if no setting admits it."""
    if settings.user_header and settings.trusts(peer):
        said = headers.getlist(settings.user_header)
        # A proxy that adds its header leaves one of the sender's own before it.
        name = said[0].strip() if len(said) == 1 else ""
        if name and name.isprintable() and len(name) <= _LONGEST_NAME:
            return User(name, acts=True)
    if settings.logins:
        return _by_password(settings.logins, headers.get("authorization", ""))
    if settings.knows_users:
        return None
    return User(_owner(), acts=settings.anonymous_actions)


def _by_password(logins: Mapping[str, str], header: str) -> User | None:
    """Return the user of a header of basic authentication (RFC 7617)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    expected = logins.get(name, "")
    # Compared for unknown users too, so that the duration reveals nothing.
    same = hmac.compare_digest(password.encode(), expected.encode())
    return User(name, acts=True) if same and colon and name in logins else None


def _owner() -> str:
    """Return the system user of this process, for the record of actions without a login."""
    try:
        return f"{getpass.getuser()} (no login)"
    except (OSError, KeyError):
        return "no login"


class Login:
    """ASGI middleware that admits only requests of known users, and stores the user in the request's state."""

    def __init__(self, app: ASGIApp, settings: PageSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            client = scope.get("client")
            user = identify(self._settings, Headers(scope=scope), client[0] if client else "")
            if user is None:
                await self._refuse(scope, receive, send)
                return
            scope.setdefault("state", {})["user"] = user
        await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._settings.logins:
            refusal = PlainTextResponse(
                "A login is needed, and this one is not known.\n", 401, {"WWW-Authenticate": _CHALLENGE}
            )
        else:
            refusal = PlainTextResponse("This page is reached by its reverse proxy alone, which names the user.\n", 403)
        await refusal(scope, receive, send)
