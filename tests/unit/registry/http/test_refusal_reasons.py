"""What registries say of a refusal, in all its forms, and the error that it means (BEHAVIOUR 6.8)."""

import json
from typing import Any

import pytest

from tasks.errors import (
    AddressWrong,
    AuthenticationRefused,
    NamespaceMissing,
    NotFound,
    QuotaExceeded,
    RegistryError,
    RegistryReadOnly,
    RegistryUnavailable,
    RequestRefused,
    ResponseInvalid,
    TagImmutable,
)
from tasks.registry.http.exchange import Response
from tasks.registry.http.refusal import refusal
from tasks.registry.http.refusal_reasons import Reason, is_web_page, parse_reasons


def errors(code: str, message: str = "", detail: Any = None) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]}).encode()


@pytest.mark.parametrize(
    ("body", "reasons"),
    [
        (errors("DENIED", "no"), [("DENIED", "no")]),
        (errors("DENIED", "no", "since it is Monday"), [("DENIED", "no; since it is Monday")]),
        (errors("MANIFEST_INVALID", "bad", {"message": "mixed types"}), [("MANIFEST_INVALID", "bad; mixed types")]),
        (errors("MANIFEST_INVALID", "", {"message": "mixed types"}), [("MANIFEST_INVALID", "mixed types")]),
        (errors("DENIED", "no", {"message": "no"}), [("DENIED", "no")]),
        (errors("UNAUTHORIZED", "no", [{"Action": "push"}]), [("UNAUTHORIZED", "no")]),
        (b'{"errors": [{"message": "a"}, {"code": "B"}, 3, "c"]}', [("", "a"), ("B", ""), ("", "c")]),
        (b'{"message": "Namespace is disabled"}', [("", "Namespace is disabled")]),
        (b'{"details": "incorrect username or password"}', [("", "incorrect username or password")]),
        (b'{"error": "invalid_grant", "error_description": "too old"}', [("invalid_grant", "too old")]),
        (b'{"code": "X", "message": "y"}', [("X", "y")]),
        (b"<html><head><title> Sign&amp;in \n here</title>", [("", "a web page, 'Sign&in here'")]),
        (b"<!DOCTYPE html><body>", [("", "a web page")]),
        (b"<?xml?><Error><Code>SlowDown</Code><Message>Less.</Message></Error>", [("SlowDown", "Less.")]),
        *((body, []) for body in (b"", b"no", b"[]", b"null", b"{}", b'{"errors": null}', b"[" * 9000, b"\xff<")),
    ],
)
def test_reasons_are_read_in_every_form(body: bytes, reasons: list[tuple[str, str]]) -> None:
    assert parse_reasons(body) == [Reason(*each) for each in reasons]


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"Auth failed.\n", "text/plain; charset=utf-8", ["Auth failed."]),
        (b"upstream connect error or disconnect", "Text/Plain", ["upstream connect error or disconnect"]),
        (b'{"errors": [{"message": "no"}]}', "text/plain", ["no"]),
        (b"quota of \xff used", "text/plain", ["quota of \ufffd used"]),
        (b" \n", "text/plain", []),
        (b"<p>", "text/plain", []),
        (b"Auth failed.", "application/octet-stream", []),
        (b"Auth failed.", None, []),
        # net/http of Go, with plain HTTP at a port for TLS.
        (
            b"Client sent an HTTP request to an HTTPS server.\n",
            None,
            ["Client sent an HTTP request to an HTTPS server."],
        ),
    ],
)
def test_a_text_is_a_reason_where_it_says_that_it_is_one(
    body: bytes, content_type: str | None, said: list[str]
) -> None:
    assert [str(reason) for reason in parse_reasons(body, content_type)] == said


@pytest.mark.parametrize(
    ("content", "content_type", "page"),
    [
        (b"<html>", None, True),
        (b"\n<!-- x --> <!doctype HTML>", "application/json", True),
        (b"<p>", "text/html; charset=utf-8", True),
        (b"", "text/html; charset=utf-8", False),
        (b'{"tags": []}', "text/html", False),
        (b"<Error>", "application/xml", False),
    ],
)
def test_a_web_page_is_told_from_an_answer(content: bytes, content_type: str | None, page: bool) -> None:
    """Quay gives its empty answers the type of a page, others their JSON."""
    assert is_web_page(content, content_type) == page


@pytest.mark.parametrize(
    ("method", "status", "body", "kind"),
    [
        ("POST", 403, errors("DENIED", "Quota has been exceeded on namespace"), QuotaExceeded),
        ("PUT", 412, errors("DENIED", "adding 1 MiB of storage resource, will exceed the limit"), QuotaExceeded),
        ("PUT", 400, errors("LimitExceededException", "images"), QuotaExceeded),
        ("PUT", 507, b"", QuotaExceeded),
        ("PUT", 409, errors("TAG_IMMUTABLE", "tag cannot be overwritten"), TagImmutable),
        ("PUT", 412, errors("PRECONDITION", "'app:1' configured as immutable."), TagImmutable),
        ("PUT", 400, errors("ImageTagAlreadyExistsException", "it exists"), TagImmutable),
        ("POST", 405, errors("DENIED", "System is currently read-only. Pulls will succeed."), RegistryReadOnly),
        ("PUT", 503, b"<html><title>Under maintenance</title>", RegistryReadOnly),
        ("GET", 503, b"<html><title>Under maintenance</title>", RegistryReadOnly),
        ("GET", 503, errors("UNAVAILABLE", "The service is in read-only mode"), RegistryReadOnly),
        ("DELETE", 405, errors("DENIED", "System is currently read-only."), RegistryReadOnly),
        ("DELETE", 409, errors("TAG_IMMUTABLE", "tag is immutable"), TagImmutable),
        ("GET", 405, errors("DENIED", "System is currently read-only."), RequestRefused),
        ("GET", 503, b"<html><title>503 Service Unavailable</title>", RegistryUnavailable),
        ("GET", 503, b"<?xml?><Error><Code>SlowDown</Code></Error>", RegistryUnavailable),
        ("POST", 404, errors("NAME_UNKNOWN", "repository name not known"), NamespaceMissing),
        ("POST", 404, errors("NOT_FOUND", "project team not found"), NamespaceMissing),
        ("POST", 403, errors("DENIED", "requested access is denied"), AuthenticationRefused),
        ("POST", 403, errors("DENIED", "this robot has read-only access"), AuthenticationRefused),
        ("POST", 405, errors("UNSUPPORTED", "The operation is unsupported."), RequestRefused),
        ("POST", 200, b"<html><title>Sign in</title>", AddressWrong),
        ("POST", 200, b"{}", ResponseInvalid),
        ("GET", 404, errors("NAME_UNKNOWN", "repository name not known"), NotFound),
        ("GET", 403, errors("DENIED", "quota"), AuthenticationRefused),
        ("PUT", 503, b"", RegistryUnavailable),
        ("PUT", 413, b"<html><title>413 Request Entity Too Large</title>", RequestRefused),
    ],
)
def test_the_words_of_a_refusal_name_the_error(
    method: str, status: int, body: bytes, kind: type[RegistryError]
) -> None:
    response = Response(status, {"WWW-Authenticate": "Basic"}, "https://registry.example/v2/x", own=True, content=body)
    error = refusal(method, response)
    assert type(error) is kind
    assert f"{method} registry.example/v2/x answered {status}" in error.message


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_registry_that_says_when_it_serves_again_is_under_maintenance(method: str) -> None:
    """8.6: RFC 9110, 15.6.4."""
    headers = {"Retry-After": "120"}
    error = refusal(method, Response(503, headers, "https://registry.example/v2/x", own=True))
    assert type(error) is RegistryReadOnly
    assert type(refusal(method, Response(502, headers, "https://registry.example/v2/x", own=True))) is not type(error)


def test_a_registry_under_maintenance_is_asked_again_in_a_minute() -> None:
    """8.6."""
    said = errors("DENIED", "System is currently read-only")
    error = refusal("PUT", Response(405, {}, "https://registry.example/v2/x", own=True, content=said))
    assert error.retry_after == 60


@pytest.mark.parametrize(("method", "maybe"), [("GET", True), ("HEAD", True), ("POST", False)])
def test_a_refused_read_may_be_of_a_repository_that_does_not_exist(method: str, maybe: bool) -> None:
    """3.4."""
    error = refusal(method, Response(403, {}, "https://registry.example/v2/x", own=True))
    assert isinstance(error, AuthenticationRefused)
    assert error.may_be_absent == maybe
