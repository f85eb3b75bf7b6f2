"""Error answers of registries: statuses and bodies."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.scripted import Answer, NoAnswer

JSON = "application/json"
HTML = "text/html"


class Refused(Exception):
    """End the handling of a request with this answer, or without one."""

    def __init__(self, answer: Answer | NoAnswer) -> None:
        super().__init__(answer)
        self.answer = answer


def document(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """Build an answer with a JSON body."""
    return Answer(status, {"Content-Type": JSON} | dict(headers or {}), json.dumps(content).encode())


def error(status: int, code: str, message: str, detail: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Build an answer with one error, as distribution-spec 1.1 "Error codes" has it."""
    return document(status, {"errors": [{"code": code, "message": message, "detail": detail}]}, headers)


def page(status: int, title: str) -> Answer:
    """Build a page as a web server or a proxy sends it."""
    body = f"<html>\r\n<head><title>{title}</title></head>\r\n<body><center><h1>{title}</h1></center></body>\r\n</html>"
    return Answer(status, {"Content-Type": HTML}, body.encode())


@dataclass(frozen=True)
class Refusal:
    """The words with which a product refuses something.

    `message` and a text in `detail` may name `{repository}`, `{namespace}`, `{tag}` and `{digest}`.
    """

    status: int
    code: str
    message: str
    detail: Any = None

    def answer(self, headers: Mapping[str, str] | None = None, /, **names: str) -> Answer:
        """Fill the names in."""
        return error(self.status, self.code, self.message.format(**names), _filled(self.detail, names), headers)


def _filled(detail: Any, names: Mapping[str, str]) -> Any:
    if isinstance(detail, str):
        return detail.format(**names)
    if isinstance(detail, Mapping):
        return {key: _filled(value, names) for key, value in detail.items()}
    return detail
