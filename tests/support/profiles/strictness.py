"""What distribution-spec 1.1 forbids a client; each finding fails the test at its end."""

import re
from collections.abc import Iterator

from tests.support.profiles.request import DIGEST, NAME, TAG, Request

_RANGE = re.compile(r"[0-9]+-[0-9]+", re.ASCII)
_METHODS = {
    "base": {"GET", "HEAD"},
    "manifest": {"GET", "HEAD", "PUT", "DELETE"},
    "uploads": {"POST"},
    "session": {"GET", "PATCH", "PUT", "DELETE"},
    "blob": {"GET", "HEAD", "DELETE"},
    "tags": {"GET"},
    "referrers": {"GET"},
}
_PARAMETERS = {
    "base": set[str](),
    "manifest": {"tag"},
    "uploads": {"mount", "from", "digest", "digest-algorithm"},
    "session": {"digest", "_state"},
    "blob": set[str](),
    "tags": {"n", "last"},
    "referrers": {"artifactType", "_page"},
}
_TYPE_OF_BYTES = "application/octet-stream"


def violations(request: Request) -> Iterator[str]:
    """Yield what is wrong with a request as it stands, whatever the registry holds."""
    endpoint = request.route.endpoint
    if "Host" not in request.headers:
        yield "no Host header"
    if endpoint not in _METHODS:
        yield "no such endpoint"
        return
    if request.method not in _METHODS[endpoint]:
        yield f"{endpoint} has no {request.method}"
    strange = request.query.keys() - _PARAMETERS[endpoint]
    if strange:
        yield f"unknown parameters: {', '.join(sorted(strange))}"
    yield from _of_names(request)
    yield from _of_body(request)


def _of_names(request: Request) -> Iterator[str]:
    endpoint, name, reference = request.route
    if endpoint != "base" and not NAME.fullmatch(name):
        yield "the repository's name is outside of the grammar"
    if endpoint in {"blob", "referrers"} and not DIGEST.fullmatch(reference):
        yield "not a digest"
    if endpoint == "manifest" and not (DIGEST.fullmatch(reference) or TAG.fullmatch(reference)):
        yield "neither a tag nor a digest"
    for parameter in ("digest", "mount"):
        value = request.first(parameter)
        if value is not None and not DIGEST.fullmatch(value):
            yield f"{parameter} is not a digest"
        if len(request.query.get(parameter, [])) > 1:
            yield f"{parameter} stands twice"


def _of_body(request: Request) -> Iterator[str]:
    endpoint, method = request.route.endpoint, request.method
    chunked = request.headers.get("Transfer-Encoding", "").lower() == "chunked"
    if method in {"POST", "PUT", "PATCH"} and request.length is None and not chunked:
        yield "neither Content-Length nor chunked"
    if request.length is not None and chunked:
        yield "both Content-Length and chunked"
    if method in {"GET", "HEAD"} and request.length:
        yield "a body that nothing asks for"
    content_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
    if endpoint == "session" and method in {"PUT", "PATCH"} and (request.length or chunked):
        if content_type != _TYPE_OF_BYTES:
            yield f"Content-Type of content is not {_TYPE_OF_BYTES}"
        yield from _of_content_range(request)
    if endpoint == "session" and method == "PUT" and request.first("digest") is None:
        yield "no digest"
    if endpoint == "manifest" and method == "PUT" and not content_type:
        yield "a manifest without Content-Type"


def _of_content_range(request: Request) -> Iterator[str]:
    said = request.headers.get("Content-Range")
    if said is None:
        return
    if not _RANGE.fullmatch(said):
        yield "Content-Range is not START-END"
        return
    start, end = map(int, said.split("-"))
    if request.length is not None and end - start + 1 != request.length:
        yield "Content-Range and Content-Length differ"
