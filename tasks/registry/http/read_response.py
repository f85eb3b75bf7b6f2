"""Read the response to a request, up to a limit of its size (BEHAVIOUR 8.4)."""

from tasks.errors import ResponseInvalid
from tasks.registry.http.answer import Incoming
from tasks.registry.http.coding import decoded
from tasks.registry.http.exchange import Request, Response
from tasks.registry.settings import HttpLimits


def read_response(
    request: Request, incoming: Incoming, url: str, limits: HttpLimits, *, own: bool, authorization: str | None
) -> Response:
    """Return the response with its content, or still `incoming` if it is streamed; raises ResponseInvalid, Transient.

    `authorization` is the header that the request had. An unexpected response is cut at `limits.error_bytes`; an
    expected one above its limit is an error.
    """
    expected = incoming.status in request.expect
    if expected and request.stream:
        return Response(incoming.status, incoming.headers, url, own, incoming=incoming, authorization=authorization)
    limit = request.limit if expected and request.limit is not None else limits.error_bytes
    content = incoming.read(limit, limits.answer_timeout)
    if len(content) <= limit:
        content = decoded(content, incoming.headers.get("Content-Encoding"), limit + 1)
    if expected and len(content) > limit:
        setting = " (http.manifest_bytes)" if limit == limits.manifest_bytes else ""
        raise ResponseInvalid(f"{incoming.what} answered with more than {limit} bytes{setting}.")
    return Response(incoming.status, incoming.headers, url, own, content[:limit], authorization=authorization)
