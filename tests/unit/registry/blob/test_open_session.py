"""The session of one upload: found, opened, resumed, cancelled (BEHAVIOUR 5.3, 5.6)."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tasks.errors import NotFound, ResponseInvalid
from tasks.registry.auth.credentials import CredentialStore
from tasks.registry.blob.open_session import OpenSession
from tasks.registry.blob.requests import UploadRequests
from tasks.registry.blob.session import UploadSession
from tasks.registry.budget import UnboundedBudgets
from tasks.registry.http.exchange import Response
from tasks.registry.http.headers import Headers
from tasks.registry.http.retry import Transient
from tasks.registry.settings import RegistryConfiguration
from tasks.registry.transport import Transport
from tests.support.scripted import Answer, Exchange, NoAnswer, ScriptedRegistry
from tests.unit.registry.blob.uploads import AGAIN, CANCEL, POST, POST_AGAIN, SMALL
from tests.unit.registry.clients import NAME, PING, QUICK, SESSION, UPLOADS

FOUND = UploadSession(SESSION)
MOVED = f"{SESSION}?_state=later"
SENT = 1_000


@contextmanager
def session(*script: Exchange, found: UploadSession | None = None) -> Iterator[OpenSession]:
    """Yield a session at a registry that is asked for exactly the script, in its order."""
    with ScriptedRegistry(*script, ordered=True) as registry:
        configuration = RegistryConfiguration(limits=QUICK)
        store = CredentialStore(configuration)
        transport = Transport(registry.host, "destination", configuration, store, UnboundedBudgets())
        requests = UploadRequests(NAME, frozenset(), QUICK.commit_timeout, SMALL.blob.digest, SMALL.size)
        yield OpenSession(transport, requests, found)


def asked(answer: Answer | NoAnswer, location: str = SESSION) -> Exchange:
    """Return the request for the status of a session."""
    return Exchange("GET", location, answer)


def stands_at(said: str, location: str = MOVED) -> Answer:
    return Answer(204, {"Location": location, "Range": said})


def at(upload: OpenSession) -> str:
    """Return the path and the query of a session."""
    return urlsplit(upload.current.location)._replace(scheme="", netloc="").geturl()


def test_a_new_session_is_opened_and_is_empty() -> None:
    """Rule 5.6."""
    with session(PING, POST) as upload:
        assert (upload.resume(SENT), at(upload), upload.bodies) == (0, SESSION, 0)


def test_a_session_that_a_mount_opened_is_used_without_a_request() -> None:
    """Rule 5.1: nothing was sent in it, so there is nothing to ask for."""
    with session(found=FOUND) as upload:
        assert (upload.resume(SENT), upload.current, upload.bodies) == (0, FOUND, 0)


@pytest.mark.parametrize(
    ("said", "counts", "stored"),
    [
        pytest.param("0-499", False, 500, id="the offset of the last byte"),
        pytest.param("bytes=0-500", True, 500, id="the number of bytes, as Quay says it"),
        pytest.param(f"0-{SENT - 1}", False, SENT, id="all that was sent"),
        pytest.param("0-0", False, 0, id="nothing"),
    ],
)
def test_an_interrupted_session_goes_on_where_the_registry_stands(said: str, counts: bool, stored: int) -> None:
    """Rule 5.3: at the Location that the registry names last; the bodies in it stay counted."""
    found = UploadSession(SESSION, counts=counts)
    with session(PING, asked(stands_at(said)), found=found) as upload:
        upload.resume(SENT)
        upload.bodies = 2
        assert (upload.resume(SENT), at(upload), upload.bodies) == (stored, MOVED, 2)
        assert upload.current.counts == counts


@pytest.mark.parametrize(
    ("answers", "cancelled"),
    [
        pytest.param([asked(Answer(404))], [], id="gone: there is nothing to cancel"),
        pytest.param([asked(Answer(400))], [CANCEL], id="refused"),
        pytest.param(
            [asked(stands_at(f"0-{SENT + 1}"))], [Exchange("DELETE", MOVED, Answer(204))], id="more than was ever sent"
        ),
        pytest.param([asked(Answer(204))], [CANCEL], id="without a Range"),
    ],
)
def test_a_session_that_cannot_go_on_is_followed_by_a_new_one(
    answers: list[Exchange], cancelled: list[Exchange]
) -> None:
    """Rules 5.3, 5.6: the new one has no body, and the old one does not stay open."""
    with session(PING, *answers, *cancelled, POST_AGAIN, found=FOUND) as upload:
        upload.resume(SENT)
        upload.bodies = 2
        assert (upload.resume(SENT), at(upload), upload.bodies) == (0, AGAIN, 0)


def test_a_session_that_is_gone_is_not_asked_for_again() -> None:
    """Rule 5.3: though no new one could be opened at first."""
    with session(PING, asked(Answer(404)), Exchange("POST", UPLOADS, Answer(503)), POST_AGAIN, found=FOUND) as upload:
        upload.resume(SENT)
        with pytest.raises(Transient):
            upload.resume(SENT)
        assert (upload.resume(SENT), at(upload)) == (0, AGAIN)


@pytest.mark.parametrize("reply", [Answer(503), NoAnswer.DROP])
def test_a_registry_that_does_not_serve_keeps_its_session(reply: Answer | NoAnswer) -> None:
    """Rule 5.3: the next try asks again, and goes on."""
    with session(PING, asked(reply), asked(stands_at("0-499")), found=FOUND) as upload:
        upload.resume(SENT)
        with pytest.raises(Transient):
            upload.resume(SENT)
        assert upload.resume(SENT) == 500


@pytest.mark.parametrize("reply", [Answer(503), NoAnswer.DROP])
def test_one_request_opens_a_session_and_the_upload_decides_on_the_next(reply: Answer | NoAnswer) -> None:
    """Rule 8.3: an upload that resumes counts its own tries."""
    with session(PING, Exchange("POST", UPLOADS, reply), POST) as upload:
        with pytest.raises(Transient):
            upload.resume(SENT)
        assert (upload.resume(SENT), at(upload)) == (0, SESSION)


@pytest.mark.parametrize(
    ("reply", "error"),
    [(Answer(404), NotFound), (Answer(202), ResponseInvalid)],
    ids=["refused", "without a Location"],
)
def test_a_session_that_is_not_opened_is_an_error(reply: Answer, error: type[Exception]) -> None:
    """Rule 6.8."""
    with session(PING, Exchange("POST", UPLOADS, reply)) as upload:
        with pytest.raises(error):
            upload.resume(SENT)
        with pytest.raises(TypeError):
            _ = upload.current


def test_a_session_moves_with_each_answer_that_names_a_location() -> None:
    """Rule 5.3: only the Location of the last answer is valid."""
    with session(found=FOUND) as upload:
        upload.move(_answer({"Location": MOVED}))
        assert at(upload) == MOVED
        upload.move(_answer({}))
        assert at(upload) == MOVED


def test_a_session_that_ended_is_not_cancelled() -> None:
    """Rule 5.6: a commit, or the registry, ended it; the next body needs a new one."""
    with session(PING, POST_AGAIN, found=FOUND) as upload:
        upload.end()
        upload.cancel()
        assert (upload.resume(SENT), at(upload)) == (0, AGAIN)


def test_a_session_is_cancelled_once_and_nothing_depends_on_the_answer() -> None:
    """Rule 5.6."""
    refused = Exchange("DELETE", SESSION, Answer(405))
    with session(PING, refused, POST_AGAIN, found=FOUND) as upload:
        upload.cancel()
        upload.cancel()
        assert (upload.resume(SENT), at(upload)) == (0, AGAIN)


def _answer(headers: dict[str, str]) -> Response:
    return Response(202, Headers(headers.items()), f"https://b.example{SESSION}", own=True)
