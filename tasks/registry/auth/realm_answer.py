"""The answers of token servers that give no token."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from tasks.errors import (
    AddressWrong,
    AuthenticationRefused,
    RateLimited,
    RegistryReadOnly,
    RegistryUnavailable,
    RequestRefused,
    ResponseInvalid,
)
from tasks.registry.http.redact import conceal
from tasks.registry.http.refusal import clean, named_kind, under_maintenance
from tasks.registry.http.refusal_reasons import is_web_page, parse_reasons

_SHOWN: Final = 3
# Quay answers 405 for a disabled namespace.
_REFUSED: Final = frozenset({401, 403, 405})
# A revoked or expired token of a login gives 400 (RFC 6749 section 5.2, invalid_grant).
_GONE: Final = frozenset({404, 410})


class RealmGone(ResponseInvalid):
    """A token server is not at its address; the registry may name another address meanwhile."""


def check_served(
    url: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    wanted: str,
    by_token: bool,
    authorizations: Sequence[str],
) -> None:
    """Raise the error that an answer means, unless it may hold what was `wanted`.

    `by_token` says whether the request had a token in its form; no message shows the secrets of `authorizations`.
    Raises AuthenticationRefused, RateLimited, RegistryUnavailable, RegistryReadOnly, RealmGone, RequestRefused,
    ResponseInvalid, AddressWrong.
    """
    realm = urlsplit(url).netloc
    reasons = parse_reasons(body, headers.get("Content-Type"))
    said = f" (status {status}{words(body, headers.get('Content-Type'), authorizations)})"
    if named_kind(status, reasons) is RegistryReadOnly:
        # Quay makes a missing repository as it gives the token for a push to it, which it cannot while it is read-only.
        raise under_maintenance(f"{realm} gave no token{said}.")
    if status in _REFUSED or (by_token and status == HTTPStatus.BAD_REQUEST):
        unsent = "" if authorizations else " No credentials are configured for it."
        raise AuthenticationRefused(f"{realm} refused {wanted}{said}.{unsent}")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimited(f"{realm} limits how often it gives tokens{said}.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RegistryUnavailable(f"{realm} gave no token{said}.")
    if status in _GONE:
        raise RealmGone(f"{realm} has no server of tokens there{said}.")
    if status >= HTTPStatus.BAD_REQUEST and reasons and not is_web_page(body, headers.get("Content-Type")):
        # Quay and others refuse the name of a repository here.
        raise RequestRefused(f"{realm} refused {wanted}{said}.")
    if status != HTTPStatus.OK:
        raise ResponseInvalid(f"{realm} gave an unexpected answer to the request for a token{said}.")
    if is_web_page(body, headers.get("Content-Type")):
        raise AddressWrong(f"{realm} answered the request for a token with a web page.")


def words(body: bytes, content_type: str | None, authorizations: Iterable[str]) -> str:
    """Return the realm's reason for its answer, without the secrets of the request."""
    said = "; ".join(map(str, parse_reasons(body, content_type)[:_SHOWN]))
    for authorization in authorizations:
        said = conceal(said, authorization)
    said = clean(said)
    return f": {said}" if said else ""
