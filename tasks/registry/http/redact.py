"""The removal of a request's credentials from messages about its answer (BEHAVIOUR 6.7)."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from tasks.patterns import late

# Query parameters of the API that are no secret; any other may be a signature or a token.
_OPEN: Final = frozenset({"digest", "mount", "from", "n", "last", "tag", "service", "scope", "account"})
_SHORTEST: Final = 8
_SHORT: Final = 4
_QUERY: Final = late(r"""(https?://[^\s?"'<>]{1,2000})\?[^\s"'<>]+""", re.IGNORECASE)

# RFC 3986, 3.2.1: the user information, before the last `@` of an authority.
_USER: Final = late(r"""(https?://)[^\s/?#"'<>]{1,2000}@""", re.IGNORECASE)


def conceal(text: str, authorization: str | None, url: str = "") -> str:
    """Return a registry's text without the secrets of the request, which some errors quote.

    `authorization` is the header of the request, `url` its address, whose query may be signed. Their secrets are found
    literally and in the encodings of servers: the text must be decoded before, and must not be shortened. Any other
    address in the text loses its query, and its user.
    """
    text = _USER().sub(r"\1***@", _QUERY().sub(r"\1?***", text))
    secrets = [*_secrets(authorization or ""), *_signatures(url)]
    found = {shape for secret in secrets for shape in _shapes(secret) if shape}
    # The longest first: replacing a part of another secret would leave the rest of it.
    for shape in sorted(found, key=lambda shape: (-len(shape), shape)):
        text = _without(text, shape)
    return text


def _without(text: str, secret: str) -> str:
    """Return a text without a secret; one of a few letters is found as a word only, or it would spoil other words."""
    if len(secret) >= _SHORT:
        return text.replace(secret, "***")
    return re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", "***", text)


def _secrets(authorization: str) -> Iterator[str]:
    scheme, _, secret = authorization.partition(" ")
    yield secret
    if scheme != "Basic":
        return
    yield secret.rstrip("=")
    pair = base64.b64decode(secret)
    user, _, password = pair.partition(b":")
    # Some registries take a token for the user, without a password.
    password = password or user
    if not password:
        return
    yield base64.b64encode(password).decode()
    for each in (pair, password):
        yield each.decode(errors="replace")
        # The text as decoded by a server that does not know RFC 7617's UTF-8.
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
