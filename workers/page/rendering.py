"""Answers as HTML for people, or as JSON with the same data for programs."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from workers import amounts
from workers.printable import printable
from workers.settings.page import PageSettings

FOLDER: Final = Path(__file__).parent
# The style of each state and action: done, under way, attention, or bad.
_LOOKS: Final = {
    "succeeded": "good", "copied": "good", "merged": "good", "unchanged": "calm", "be restored": "good",
    "be left alone": "calm", "stay as it is": "calm", "stay moved": "calm", "stay on hold": "calm",
    "be on hold": "warn", "be released": "good",
    "partial": "warn", "waiting": "warn", "interrupted": "warn", "cancelled": "warn", "being cancelled": "warn",
    "skipped": "warn", "rolled_back": "warn", "undone": "warn", "being undone": "warn", "partly undone": "warn",
    "failed": "bad", "refused": "bad", "undo failed": "bad", "be deleted": "bad", "not be put back": "bad",
}  # fmt: skip


class Pages:
    """A renderer of templates with their common context."""

    def __init__(self, settings: PageSettings, version: str) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            # No name from elsewhere turns the reading direction of what stands beside it.
            finalize=_finalized,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            short=amounts.short,
            size=amounts.size,
            age=lambda moment: amounts.age(time.time() - moment),
            moment=lambda moment: datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            look=lambda state: _LOOKS.get(state, "busy"),
            counted=amounts.count,
            code=_code,
            words=lambda action: action.replace("-", " ").capitalize(),
            tag=tag_of,
            repository=_repository_of,
        )
        self._environment.globals.update(settings=settings, version=version)

    def answer(self, request: Request, template: str, data: Any, status: int = 200, **more: Any) -> Response:
        """Return `data` in the form that the request accepts; `more` is for the template alone."""
        if wants_json(request):
            return Response(msgspec.json.encode(data), status, media_type="application/json")
        user = getattr(request.state, "user", None)
        html = self._environment.get_template(template).render(data=data, user=user, **more)
        return HTMLResponse(html, status)


def _code(text: str) -> Markup:
    """Return a message as markup, with what stands between backticks as code."""
    parts = [printable(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return escape(printable(text))
    marked = (Markup("<code>{}</code>").format(part) if odd % 2 else escape(part) for odd, part in enumerate(parts))
    return Markup().join(marked)


def _finalized(value: Any) -> Any:
    """Return what a template writes, with text that is no markup in visible form."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(printable, value.split("\n")))


def wants_json(request: Request) -> bool:
    """Tell whether a program sends the request: a browser accepts HTML."""
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def tag_of(reference: str) -> str:
    """Return the tag or digest of a reference."""
    return reference[len(_repository_of(reference)) + 1 :]


def _repository_of(reference: str) -> str:
    """Return a reference without its tag or digest."""
    name = reference.partition("@")[0]
    last = name.rpartition("/")[2]
    return name[: len(name) - len(last)] + last.partition(":")[0]
