"""Keeping the credentials of a request out of what is told of its answer (BEHAVIOUR 6.7)."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

# What queries of the API say in the clear; all else may be a signature or a token.
_OPEN: Final = frozenset({"digest", "mount", "from", "n", "last", "tag", "service", "scope", "account"})
_SHORTEST: Final = 8
_QUERY: Final = re.compile(r"""(https?://[^\s?"'<>]{1,2000})\?[^\s"'<>]+""", re.IGNORECASE)


def conceal(text: str, authorization: str | None, url: str = "") -> str:
    """Return what a registry said without the secrets that it was shown: some errors quote the request.

    `authorization` is the header of the request, `url` its address, whose query may be signed. What they hold is found
    as it is and in the encodings that servers put it into: text must be decoded before, and must not be shortened.
    Whatever else looks like an address loses its query.
    """
    text = _QUERY.sub(r"\1?***", text)
    secrets = [*_secrets(authorization or ""), *_signatures(url)]
    found = {shape for secret in secrets for shape in _shapes(secret) if shape}
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


def _signatures(url: str) -> Iterator[str]:
    query = urlsplit(url).query
    names = dict(parse_qsl(query, keep_blank_values=True))
    if names.keys() <= _OPEN:
        return
    yield query
    for name, value in names.items():
        if name not in _OPEN and len(value) >= _SHORTEST:
            yield value


def _shapes(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
