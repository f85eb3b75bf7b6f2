"""The reasons of a registry for a refusal, in all their forms (BEHAVIOUR 6.8).

{"errors": [{"code": C, "message": M, "detail": D}]}   distribution-spec 1.1, "Error Codes". D is a text, or an object
whose `message` is the true reason (Quay), or anything else
{"code": C, "message": M}                              many gateways and clouds
{"error": C, "error_description": M}                   OAuth 2 (RFC 6749, 5.2), the server of tokens
{"error_message": M, "detail": M, "status": 400}       the API of Quay
{"message" | "details" | "detail" | "reason": M}       servers of tokens without a standard
<Error><Code>C</Code><Message>M</Message></Error>      stores of blobs behind a redirect
<html><head><title>M</title>…                          a web page: a login, a proxy, an error of a web server
a text of the media type text/plain                    gateways, and servers of tokens that are small programs
"Client sent an HTTP request to an HTTPS server."      servers in Go, without a media type
anything else                                          says nothing
"""

import re
from typing import Any, Final

import msgspec

from tasks.patterns import late

_MOST: Final = 20
_CODES: Final = ("code", "error")
_MESSAGES: Final = ("message", "error_message", "error_description", "details", "detail", "reason")
_PLAIN_HTTP: Final = "Client sent an HTTP request to an HTTPS server."
_PAGE: Final = late(rb"\s*(?:<!--.{0,1000}?-->\s*)?<(?:!doctype\s+html|html|head)\b", re.IGNORECASE | re.DOTALL)
_TITLE: Final = late(r"<title[^<>]{0,200}>([^<>]{1,500})</title", re.IGNORECASE)
_XML: Final = late(r"<(Code|Message)>([^<>]{1,500})</(?:Code|Message)>")


class Reason(msgspec.Struct, frozen=True):
    """One reason: code and message, either of which may be empty."""

    code: str
    message: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.code, self.message)))


def parse_reasons(content: bytes, content_type: str | None = None) -> list[Reason]:
    """Return the reasons in a body, an empty list without any; never raises."""
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _of_markup(content) or _of_text(content, content_type)
    if not isinstance(document, dict):
        return []
    errors = document.get("errors")
    found = [_of_object(each) for each in errors[:_MOST]] if isinstance(errors, list) else [_of_object(document)]
    return [reason for reason in found if reason.code or reason.message]


def is_web_page(content: bytes, content_type: str | None) -> bool:
    """Tell whether a body is a web page for a browser, not an answer of a registry's API."""
    said = (content_type or "").partition(";")[0].strip().lower() in {"text/html", "application/xhtml+xml"}
    return bool(_PAGE().match(content)) or (said and content.lstrip().startswith(b"<"))


def _of_object(error: Any) -> Reason:
    if isinstance(error, str):
        return Reason("", error)
    if not isinstance(error, dict):
        return Reason("", "")
    code = next(_texts(error, _CODES), "")
    said = dict.fromkeys(_texts(error, _MESSAGES))
    if isinstance(error.get("detail"), dict):
        said |= dict.fromkeys(_texts(error["detail"], _MESSAGES))
    return Reason(code, "; ".join(said))


def _texts(error: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return (error[key] for key in keys if isinstance(error.get(key), str) and error[key])


def _of_text(content: bytes, content_type: str | None) -> list[Reason]:
    text = content.decode("utf-8", errors="replace").strip()
    is_text = (content_type or "").partition(";")[0].strip().lower() == "text/plain" or text == _PLAIN_HTTP
    return [Reason("", text)] if is_text and text and not text.startswith("<") else []


def _of_markup(content: bytes) -> list[Reason]:
    text = content.decode("utf-8", errors="replace")
    if is_web_page(content, None):
        import html  # noqa: PLC0415 - its tables of entities take longer to load than most requests take

        title = _TITLE().search(text)
        return [Reason("", f"a web page, {' '.join(html.unescape(title[1]).split())!r}" if title else "a web page")]
    words = dict(_XML().findall(text)) if text.lstrip().startswith("<") else {}
    return [Reason(words.get("Code", ""), words.get("Message", ""))] if words else []
