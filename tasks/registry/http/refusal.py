"""The error that a final answer of a registry means, by its status and its own words (BEHAVIOUR 6.8).

The words count before the status: registries say "quota", "immutable" and "read-only" with various statuses.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tasks.errors import (
    AddressWrong,
    AuthenticationRefused,
    NamespaceMissing,
    NotFound,
    QuotaExceeded,
    RateLimited,
    RegistryError,
    RegistryReadOnly,
    RegistryUnavailable,
    RequestRefused,
    ResponseInvalid,
    TagImmutable,
)
from tasks.patterns import late
from tasks.registry.http.exchange import Response, describe
from tasks.registry.http.redact import conceal
from tasks.registry.http.refusal_reasons import Reason, is_web_page, parse_reasons

_CONTROL: Final = late(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_LONGEST_MESSAGE: Final = 300
_SHOWN_ERRORS: Final = 3
READS: Final = frozenset({"GET", "HEAD"})
# A client sends no write to where these lead (RFC 9110, 15.4): to https, or to a login.
_ELSEWHERE: Final = frozenset({301, 302, 303})
# Not implemented, version not supported (RFC 9110, 15.6): the next answer would be the same.
_NEVER: Final = frozenset({501, 505})
# How long a registry under maintenance is left alone (BEHAVIOUR 8.6).
_MAINTENANCE_SECONDS: Final = 60.0
# Amazon's API, and servers behind it, say so with these.
_OF_A_LIMIT: Final = frozenset({400, 403})
_THROTTLED: Final = late(r"TOO_?MANY_?REQUESTS|Throttl|RequestLimitExceeded", re.IGNORECASE)


class _Rule(msgspec.Struct, frozen=True):
    kind: type[RegistryError]
    statuses: frozenset[int]
    words: Callable[[], re.Pattern[str]]


def _rule(kind: type[RegistryError], words: str, *statuses: int) -> _Rule:
    return _Rule(kind, frozenset(statuses), late(words, re.IGNORECASE))


# Refusals of writes; maintenance refuses reads too. Quay, Harbor, Amazon ECR and Docker Hub have words of their own.
_RULES: Final = (
    _rule(TagImmutable, r"immutab|ImageTagAlreadyExists", 400, 403, 405, 409, 412),
    _rule(
        QuotaExceeded,
        r"quota|storage[ _](?:limit|resource|space)|insufficient storage|LimitExceeded",
        *(400, 402, 403, 405, 409, 412, 413, 507),
    ),
    _rule(
        RegistryReadOnly,
        r"maintenance|read[- ]?only mode|(?:system|registry|server|service|storage|currently)\W.{0,60}read[- ]?only"
        r"|pushes\b.{0,60}\bdisabled",
        *(403, 405, 423, 503),
    ),
    _rule(
        NamespaceMissing,
        r"NAME_UNKNOWN|RepositoryNotFound|(?:project|namespace|repository)\b.{0,300}(?:not found|not exist)",
        *(400, 404),
    ),
)


def explain(method: str, response: Response) -> str:
    """Describe a request and its answer, with the registry's own words cleaned, shortened and without secrets."""
    said = "; ".join(map(str, _reasons(response)[:_SHOWN_ERRORS]))
    said = clean(conceal(said, response.authorization, response.url))
    shown = f" ({said})" if said else ""
    return f"{describe(method, response.url)} answered {response.status}{shown}"


def _reasons(response: Response) -> list[Reason]:
    return parse_reasons(response.content, response.headers.get("Content-Type"))


def clean(said: str) -> str:
    """Return a text from outside as one short line without control characters."""
    return _CONTROL().sub(" ", said)[:_LONGEST_MESSAGE].strip()


def refusal(method: str, response: Response) -> RegistryError:
    """Return the error for a response that says no; it quotes the reason of the registry (BEHAVIOUR 6.8)."""
    message = f"{explain(method, response)}."
    kind = _kind(method, response)
    if kind is RegistryReadOnly:
        return under_maintenance(message)
    if (
        kind is AuthenticationRefused
        and response.status == HTTPStatus.UNAUTHORIZED
        and not response.headers.get("WWW-Authenticate")
    ):
        return kind(
            f"{message[:-1]} and does not say how to log in (no WWW-Authenticate), so that no credentials were sent:"
            " is this the address of a registry, or does a proxy or a login page stand before it?"
        )
    if kind is AddressWrong and response.location is not None:
        there = urlsplit(response.location).netloc.rpartition("@")[2]
        message = f"{message[:-1]} and leads to {there}, where no write is sent."
    error = kind(message)
    if isinstance(error, AuthenticationRefused):
        error.may_be_absent = method in READS
    return error


def under_maintenance(message: str) -> RegistryReadOnly:
    """Return the error of a registry that takes nothing for now (BEHAVIOUR 8.6)."""
    return RegistryReadOnly(message, _MAINTENANCE_SECONDS)


def is_page_for_write(method: str, response: Response) -> bool:
    """Tell whether a write was answered by a web page, of a login or a proxy, as if it had succeeded."""
    if method in READS or not response.own or response.status >= HTTPStatus.MULTIPLE_CHOICES:
        return False
    return is_web_page(response.content, response.headers.get("Content-Type"))


def is_throttled(response: Response) -> bool:
    """Tell whether a registry limits its requests: by 429, or by what comes with another status."""
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    if response.status == HTTPStatus.FORBIDDEN and response.headers.get("Retry-After"):
        # GitHub's secondary limits.
        return True
    return response.status in _OF_A_LIMIT and any(_THROTTLED().search(reason.code) for reason in _reasons(response))


def _kind(method: str, response: Response) -> type[RegistryError]:
    if is_throttled(response):
        return RateLimited
    named = named_kind(response.status, _reasons(response))
    if named is not None and (method not in READS or _is_maintenance(named, response)):
        return named
    if response.status == HTTPStatus.SERVICE_UNAVAILABLE and response.headers.get("Retry-After"):
        # Maintenance, or an overload that ends by itself (RFC 9110, 15.6.4).
        return RegistryReadOnly
    if response.status in {401, 403} and response.own:
        return AuthenticationRefused
    if response.status < HTTPStatus.BAD_REQUEST and is_web_page(response.content, response.headers.get("Content-Type")):
        return AddressWrong
    if response.status in _ELSEWHERE and response.location is not None:
        return AddressWrong
    return _kind_of_status(response.status)


def _is_maintenance(named: type[RegistryError], response: Response) -> bool:
    """Tell whether a registry serves nothing for now, not even reads."""
    return named is RegistryReadOnly and response.status == HTTPStatus.SERVICE_UNAVAILABLE


def named_kind(status: int, reasons: list[Reason]) -> type[RegistryError] | None:
    """Return the error that the words of a refusal name, None if they name no known one."""
    said = "; ".join(map(str, reasons))
    return next((rule.kind for rule in _RULES if status in rule.statuses and rule.words().search(said)), None)


def _kind_of_status(status: int) -> type[RegistryError]:
    if status == HTTPStatus.NOT_FOUND:
        return NotFound
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited
    if status == HTTPStatus.INSUFFICIENT_STORAGE:
        return QuotaExceeded
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _NEVER:
        return RegistryUnavailable
    return RequestRefused if status >= HTTPStatus.BAD_REQUEST else ResponseInvalid
