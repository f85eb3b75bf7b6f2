"""Registries that fail in many ways, and quote in each what they were sent and what they made up."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from tests.support.images import Image, digest_of
from tests.support.scripted import Answer, ImprovisingRegistry, NoAnswer, Received, Reply

MakeUp = Callable[[str], str]

_REFUSED_READS: Final = (400, 401, 403, 404, 405, 406, 409, 410, 413, 418, 429, 451, 500, 502, 503, 504)
_REFUSED_WRITES: Final = (400, 403, 404, 409, 413, 416, 429, 500)


@dataclass(frozen=True)
class Way:
    """One way to fail: what answers a request of `method` whose path has `part`, in the repository of this way."""

    name: str
    method: str
    part: str
    answer: Callable[[Received], Reply]
    at: str = "source"


def quoted(received: Received) -> str:
    """Return all that a request has shown, as careless servers write it into their errors."""
    headers = "; ".join(f"{name}: {value}" for name, value in received.headers.items())
    body = received.body[:300].decode(errors="replace")
    return f"you sent {received.method} {received.target} with {headers} and {body}"


def error(received: Received) -> bytes:
    said = quoted(received)
    return json.dumps({"errors": [{"code": "DENIED", "message": said, "detail": {"message": said}}]}).encode()


def quoting(status: int, **headers: str) -> Callable[[Received], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda received: Answer(status, named, error(received))


def saying(reply: Reply) -> Callable[[Received], Reply]:
    return lambda _: reply


def ways(make_up: MakeUp, store: str) -> Iterator[Way]:
    """Yield the ways to fail; `make_up` makes a secret of a registry's own, `store` is a host that quotes, too."""

    def signed(what: str) -> str:
        signature, user = make_up(f"the signature of {what}"), make_up(f"the user of {what}")
        return f"X-Amz-Signature={signature}&X-Amz-Credential={user}"

    def page(received: Received) -> bytes:
        return f"<html><head><title>{quoted(received)}</title></head></html>".encode()

    for status in _REFUSED_READS:
        yield Way(f"read-{status}", "*", "/manifests/", quoting(status))
    nobody = f"user:{make_up('a password in an address')}@127.0.0.1:1"
    warning = f'299 - "see https://user:{make_up("a warning")}@host.example/?{signed("a warning")}"'
    circle = signed("a circle")
    reads: dict[str, Callable[[Received], Reply]] = {
        "page": lambda received: Answer(200, {"Content-Type": "text/html"}, page(received)),
        "page-403": lambda received: Answer(403, {"Content-Type": "text/html"}, page(received)),
        "garbage": lambda received: Answer(200, {"Content-Type": "application/json"}, error(received)),
        "media-type": saying(Answer(200, {"Content-Type": f"text/x; token={make_up('a media type')}"}, b"{}")),
        "digest": saying(Answer(200, {"Docker-Content-Digest": make_up("a digest")}, b"{}")),
        "to-nobody": saying(Answer(307, {"Location": f"http://{nobody}/x?{signed('a hop')}"})),
        "to-nothing": saying(Answer(307, {"Location": f"http://[bad?{signed('no address')}"})),
        "to-metadata": saying(Answer(307, {"Location": f"http://169.254.169.254/x?{signed('metadata')}"})),
        "to-store": saying(Answer(307, {"Location": f"http://{store}/stored?{signed('a store')}"})),
        "in-circles": lambda received: Answer(307, {"Location": f"{received.path}?{circle}"}),
        "later": quoting(429, Retry_After=make_up("a pause")),
        "much-later": quoting(503, Retry_After="999999999", Warning=warning),
        "cookie": quoting(400, Set_Cookie=f"session={make_up('a session')}; Path=/"),
        "challenge": quoting(401, WWW_Authenticate=f'Bearer realm="http://{nobody}/t?{signed("a realm")}"'),
        "odd-challenge": quoting(401, WWW_Authenticate=f'Odd token="{make_up("an odd challenge")}"'),
        "dropped": saying(NoAnswer.DROP),
        "cut": lambda received: Answer(200, {"Content-Type": "application/json"}, error(received), cut_after=40),
    }
    for name, answer in reads.items():
        yield Way(name, "*", "/manifests/", answer)
    for name, answer in {
        "refused": quoting(401),
        "broken": quoting(500),
        "none": saying(Answer(200, {}, b"{}")),
        "garbage": lambda received: Answer(200, {}, quoted(received).encode()),
        "elsewhere": saying(Answer(307, {"Location": f"http://{store}/token?{signed('a token elsewhere')}"})),
        "unusable": saying(Answer(200, {}, json.dumps({"token": make_up("a token") + "\n"}).encode())),
    }.items():
        yield Way(f"token-{name}", "*", "/token", answer)
    for status in _REFUSED_WRITES:
        yield Way(f"post-{status}", "POST", "/uploads/", quoting(status), "destination")
        yield Way(f"put-{status}", "PUT", "/uploads/", quoting(status), "destination")
        yield Way(f"tag-{status}", "PUT", "/manifests/", quoting(status), "destination")
    for name, location in {
        "nowhere": f"http://u:{make_up('an upload')}@127.0.0.1:1/?{signed('an upload')}",
        "no-address": f"http://[bad?{signed('no upload')}",
        "metadata": f"http://169.254.169.254/?{signed('an upload of metadata')}",
    }.items():
        yield Way(f"upload-{name}", "POST", "/uploads/", saying(Answer(202, {"Location": location})), "destination")
    yield Way("upload-without", "POST", "/uploads/", quoting(202), "destination")
    yield Way("upload-dropped", "PUT", "/uploads/", saying(NoAnswer.DROP), "destination")
    wrong = Answer(201, {"Docker-Content-Digest": make_up("another digest")})
    yield Way("tag-wrong", "PUT", "/manifests/", saying(wrong), "destination")


class Leaky(ExitStack):
    """Registries on loopback, each of which asks for credentials in its way and fails in the way of each repository."""

    def __init__(self, source: Image, make_up: MakeUp, schemes: dict[str, str]) -> None:
        super().__init__()
        self._source = source
        self._make_up = make_up
        self._sessions = make_up("the state of an upload")
        store = self._serve("")
        self.hosts = {name: self._serve(scheme) for name, scheme in schemes.items()}
        self.ways = list(ways(make_up, store))
        self._by_name = {way.name: way for way in self.ways}
        self.asked: set[str] = set()
        self.cookies: list[str] = []

    def _serve(self, scheme: str) -> str:
        server = self.enter_context(ImprovisingRegistry())
        server.answer = lambda received: self._answer(received, server.host, scheme)
        return server.host

    def _answer(self, received: Received, host: str, scheme: str) -> Reply:
        if "Cookie" in received.headers:
            self.cookies.append(received.target)
        if received.path == "/v2/" and not scheme:
            return Answer(200)
        if received.path in {"/stored", "/token"} and not scheme:
            return quoting(403)(received)
        repository = self._repository(received)
        way = self._by_name.get(repository)
        if received.path == "/token":
            if way is not None and way.part == "/token":
                self.asked.add(way.name)
                return way.answer(received)
            return Answer(200, {}, json.dumps({"token": self._token, "refresh_token": self._refresh}).encode())
        if scheme and "Authorization" not in received.headers:
            realm = f'Bearer realm="http://{host}/token",service="s"' if scheme == "Bearer" else 'Basic realm="r"'
            return Answer(401, {"WWW-Authenticate": realm}, b"{}")
        if way is not None and way.method in {"*", received.method} and way.part in received.path:
            self.asked.add(way.name)
            return way.answer(received)
        return self._serve_well(received, repository)

    @property
    def _token(self) -> str:
        return self._make_up("a token that the registry gave")

    @property
    def _refresh(self) -> str:
        return self._make_up("a refresh token that the registry gave")

    def _repository(self, received: Received) -> str:
        if received.path == "/token":
            asked = parse_qs(urlsplit(received.target).query) | parse_qs(received.body.decode())
            scope = (asked.get("scope") or ["::"])[0]
            return scope.split(":")[1] if ":" in scope else ""
        return received.path.removeprefix("/v2/").partition("/")[0]

    def _serve_well(self, received: Received, repository: str) -> Reply:
        if received.path == "/v2/":
            return Answer(200)
        reference = received.path.rpartition("/")[2]
        if received.method in {"GET", "HEAD"}:
            if repository != "good":
                return Answer(404, {}, error(received))
            if "/manifests/" in received.path:
                if reference not in {"1", self._source.digest}:
                    return Answer(404, {}, error(received))
                return Answer(200, {"Content-Type": self._source.media_type}, self._source.manifest)
            blob = self._source.blobs.get(reference)
            return Answer(404, {}, error(received)) if blob is None else Answer(200, {}, blob)
        if received.method == "POST":
            return Answer(202, {"Location": f"/v2/{repository}/blobs/uploads/1?_state={self._sessions}"})
        if received.method == "PATCH":
            return Answer(202, {"Location": received.target, "Range": f"0-{received.body_size - 1}"})
        if received.method == "PUT":
            digest = digest_of(received.body) if "/manifests/" in received.path else ""
            return Answer(201, {"Docker-Content-Digest": digest} if digest else {})
        return Answer(202)
