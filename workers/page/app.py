"""The web application and its routes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, quote

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tasks.errors import ImagePusherError, NotPermitted, PushUnknown, StateFolderUnusable, StateUnavailable
from tasks.transfer.ports import PageLedger
from workers.page.actions import ACTIONS, Action, Actions
from workers.page.comparison import compare_with_last
from workers.page.confirmation import Question
from workers.page.details import Details, read_details
from workers.page.forgery import Tokens, is_same_origin
from workers.page.headers import SecurityHeaders
from workers.page.holds import HOLD_ACTIONS, Holds
from workers.page.listing import OPEN, Choice, list_pushes
from workers.page.rendering import FOLDER, Pages, tag_of, wants_json
from workers.page.subjects import PushSubject, Subject, TagSubject
from workers.page.tag import read_tag
from workers.page.users import Login, User
from workers.settings.page import PageSettings

STATES: Final = (
    OPEN, "enqueued", "accepted", "copying", "publishing", "waiting", "interrupted", "succeeded", "partial", "failed",
    "cancelled", "undone", "refused",
)  # fmt: skip
_MOST_COLUMNS: Final = 12
_LONGEST_FORM: Final = 4096
_LONGEST_SEARCH: Final = 500
_MOST_PAGES: Final = 100_000
# Names that the DNS of other hosts cannot give to this machine: without a login, they keep other pages out.
_OWN_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


class _HoldAction(StringConvertor):
    """A part of a path: no tag's name has one after a slash, as repositories may."""

    regex = "|".join(HOLD_ACTIONS)


register_url_convertor("hold", _HoldAction())


def make_app(
    settings: PageSettings, ledger: PageLedger, actions: Actions, holds: Holds, version: str = ""
) -> Starlette:
    """Return the application."""
    page = _Page(settings, ledger, actions, holds, Pages(settings, version))
    own = [] if settings.knows_users else [Middleware(TrustedHostMiddleware, allowed_hosts=list(_OWN_NAMES))]
    return Starlette(
        routes=[
            Route("/", lambda _: RedirectResponse("/pushes")),
            Route("/healthcheck", lambda _: PlainTextResponse("OK\n")),
            Route("/pushes", page.pushes),
            Route("/pushes/{push_id}", page.push),
            Route("/pushes/{push_id}/{action}", page.question),
            Route("/pushes/{push_id}/{action}", page.act, methods=["POST"]),
            Route("/holds", page.tags_on_hold),
            Route("/tags/{reference:path}/{action:hold}", page.question),
            Route("/tags/{reference:path}/{action:hold}", page.act, methods=["POST"]),
            Route("/tags/{reference:path}", page.tag),
            Mount("/static", StaticFiles(directory=FOLDER / "static")),
        ],
        middleware=[Middleware(SecurityHeaders), *own, Middleware(Login, settings=settings)],
        exception_handlers={
            ImagePusherError: page.error,
            HTTPException: page.http_error,
        },
    )


class _Page:
    """The request handlers. Those that are not coroutines run in threads: they wait for the ledger."""

    def __init__(
        self, settings: PageSettings, ledger: PageLedger, actions: Actions, holds: Holds, pages: Pages
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._actions = actions
        self._holds = holds
        self._pages = pages
        self._tokens = Tokens()

    def pushes(self, request: Request) -> Response:
        choice = _choice(request.query_params)
        listing = list_pushes(self._ledger, choice)
        return self._pages.answer(request, "pushes.html", listing, choice=choice, states=STATES)

    def push(self, request: Request) -> Response:
        details = read_details(self._ledger, request.path_params["push_id"])
        comparison = compare_with_last(self._ledger, details.push_id, details.items)
        links = self._links(details)
        data = msgspec.to_builtins(details) | {"comparison": msgspec.to_builtins(comparison), "links": links}
        return self._pages.answer(request, "push.html", data, columns=_columns(details))

    def tag(self, request: Request) -> Response:
        return self._pages.answer(request, "tag.html", read_tag(self._ledger, request.path_params["reference"]))

    def tags_on_hold(self, request: Request) -> Response:
        return self._pages.answer(request, "holds.html", self._ledger.holds())

    def question(self, request: Request) -> Response:
        user, subject, action = self._who_does_what(request)
        tags, note = subject.ask(action)
        token = self._tokens.make(user, action, subject.name)
        asked = Question(subject=subject.name, path=subject.path, action=action, tags=tags, token=token, note=note)
        return self._pages.answer(request, "question.html", asked)

    async def act(self, request: Request) -> Response:
        user, subject, action = self._who_does_what(request)
        form = await _read_form(request)
        if not is_same_origin(request.headers, self._settings.origin):
            raise HTTPException(HTTPStatus.FORBIDDEN, "This request was not made by this page: nothing was done.")
        if not self._tokens.fits(form.get("token", ""), user, action, subject.name):
            raise HTTPException(
                HTTPStatus.FORBIDDEN, "The form is of an earlier start of this page: go back, reload, ask again."
            )
        why = form.get("why", "").strip()
        if action == "hold" and not why:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "A hold needs a reason: go back, and write one.")
        await run_in_threadpool(subject.begin, action, user.name, why)
        if wants_json(request):
            return self._pages.answer(request, "", {"subject": subject.name, "action": action}, HTTPStatus.ACCEPTED)
        return RedirectResponse(subject.path, HTTPStatus.SEE_OTHER)

    def error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, ImagePusherError)  # noqa: S101 - as registered above
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        if isinstance(error, PushUnknown):
            status = HTTPStatus.NOT_FOUND
        elif isinstance(error, NotPermitted):
            status = HTTPStatus.FORBIDDEN
        elif isinstance(error, StateUnavailable | StateFolderUnusable):
            status = HTTPStatus.SERVICE_UNAVAILABLE
        return self._tell(request, status, error.code, str(error))

    def http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - as registered above
        status = HTTPStatus(error.status_code)
        return self._tell(request, status, status.phrase.lower().replace(" ", "_"), error.detail)

    def _tell(self, request: Request, status: HTTPStatus, code: str, message: str) -> Response:
        return self._pages.answer(request, "error.html", {"error": {"code": code, "message": message}}, status)

    def _who_does_what(self, request: Request) -> tuple[User, Subject, Action]:
        """Return user, subject and action of a request; raises HTTPException for a forbidden request."""
        user: User = request.state.user
        action = next((each for each in ACTIONS if each == request.path_params["action"]), None)
        if action is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such page.")
        if not user.acts:
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "Without a login this page changes nothing: set page.login_file, or page.user_header behind a proxy.",
            )
        return user, self._subject(request.path_params), action

    def _subject(self, path: Mapping[str, str]) -> Subject:
        if "reference" in path:
            return TagSubject(path["reference"], self._ledger, self._holds)
        return PushSubject(path["push_id"], self._ledger, self._actions, self._holds)

    def _links(self, push: Details) -> dict[str, str]:
        links = {}
        if self._settings.flower_url and push.task_id:
            links["Flower"] = f"{self._settings.flower_url.rstrip('/')}/task/{quote(push.task_id, safe='')}"
        if self._settings.trace_url:
            links["Trace"] = self._settings.trace_url.replace("{push_id}", quote(push.push_id, safe=""))
        return links


def _columns(push: Details) -> list[str]:
    """Return the tags for the columns of the image matrix; none if it would be a single line or too wide."""
    tags = dict.fromkeys(tag_of(tag["reference"]) for item in push.items for tag in item["tags"])
    return list(tags) if len(push.items) > 1 and len(tags) <= _MOST_COLUMNS else []


def _choice(query: Mapping[str, str]) -> Choice:
    state, page = query.get("state", ""), query.get("page", "")
    number = int(page) if page.isascii() and page.isdecimal() and len(page) <= len(str(_MOST_PAGES)) else 1
    return Choice(
        text=query.get("q", "")[:_LONGEST_SEARCH], state=state if state in STATES else "", page=max(1, number)
    )


async def _read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form; of several with one name the first."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_FORM:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The form is too large.")
    return {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
