"""The store behind a registry's redirects: another host with signed URLs that are good for GET, and for a while."""

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tests.support.loopback import Handler, LoopbackServer
from tests.support.profiles.blobs import part_of
from tests.support.profiles.request import Request
from tests.support.profiles.sending import send
from tests.support.scripted import Answer

if TYPE_CHECKING:
    from tests.support.profiles.server import ProfileRegistry


@dataclass(frozen=True)
class _Signed:
    content: bytes = field(repr=False)
    media_type: str
    until: float


class _Object(Handler):
    owner: "ObjectStore"

    def answer(self) -> None:
        if "Authorization" in self.headers:
            self.owner.registry.violations.append("credentials were sent to the host of a redirect")
        send(self, self.owner.answer(self.command, self.path, self.headers.get("Range")))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # http.server's names  # noqa: N815 - http.server's names


class ObjectStore(LoopbackServer):
    """Serve what the registry signs; `expire` makes the next URLs expired, `inject` answers the next requests."""

    handler = _Object

    def __init__(self, registry: "ProfileRegistry") -> None:
        super().__init__()
        self.registry = registry
        self._signed: dict[str, _Signed] = {}
        self._expired = 0
        self._injected: list[Answer] = []

    def expire(self, urls: int = 1) -> None:
        """Let so many URLs that are signed from now on be expired at once."""
        self._expired += urls

    def inject(self, *answers: Answer) -> None:
        """Answer the next requests with these."""
        self._injected += answers

    def takes(self, kind: Literal["blobs", "manifests"], request: Request) -> bool:
        """Tell whether a read is sent here."""
        rules = self.registry.profile.redirects
        return kind in rules.what and (rules.heads or request.method != "HEAD")

    def sign(self, content: bytes, media_type: str) -> str:
        """Return a URL under which content is to be had."""
        key = f"/signed/{secrets.token_hex(8)}?expires={secrets.token_hex(2)}&signature={secrets.token_hex(8)}"
        seconds = self.registry.profile.redirects.signed_seconds
        if self._expired:
            self._expired, seconds = self._expired - 1, 0
        self._signed[key] = _Signed(content, media_type, self.registry.clock.now() + seconds)
        return f"{self.url}{key}"

    def answer(self, method: str, target: str, wanted: str | None) -> Answer:
        """Answer a GET of a URL that is signed and has not expired; anything else is 403."""
        if self._injected:
            return self._injected.pop(0)
        signed = self._signed.get(target)
        if signed is None or method != "GET":
            return _denied("SignatureDoesNotMatch", "The request signature does not match the signature you provided.")
        if signed.until <= self.registry.clock.now():
            return _denied("AccessDenied", "Request has expired")
        return part_of(signed.content, signed.media_type, wanted, {})


def _denied(code: str, message: str) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(403, {"Content-Type": "application/xml"}, body.encode())
