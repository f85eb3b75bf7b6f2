"""Keeping the credentials of a request out of what is told of its answer (BEHAVIOUR 6.7)."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus


def conceal(text: str, authorization: str | None) -> str:
    """Return what a registry said without the credentials that it was shown: some errors quote the request.

    `authorization` is the header of the request. What it holds is found as it is and in the encodings that servers put
    it into: text must be decoded before, and must not be shortened.
    """
    found = {shape for secret in _secrets(authorization or "") for shape in _shapes(secret) if shape}
    # The longest first: what stands in another would leave the rest of that.
    for shape in sorted(found, key=lambda shape: (-len(shape), shape)):
        text = text.replace(shape, "***")
    return text


def _secrets(authorization: str) -> Iterator[str]:
    scheme, _, secret = authorization.partition(" ")
    yield secret
    if scheme != "Basic":
        return
    yield secret.rstrip("=")
    pair = base64.b64decode(secret)
    password = pair.partition(b":")[2]
    yield base64.b64encode(password).decode()
    for each in (pair, password):
        yield each.decode(errors="replace")
        # What a server makes of it that has never heard of RFC 7617's UTF-8.
        yield each.decode("latin-1")


def _shapes(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
