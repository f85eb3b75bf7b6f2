"""Credentials that a registry quotes are shown nowhere, whatever it answers and however it writes them (rule 6.7)."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from tasks.errors import ImagePusherError, RegistryError
from tasks.registry.auth.basic import basic_authorization
from tasks.registry.http.redact import conceal
from tasks.registry.repository import Repository
from tasks.registry.settings import Credentials, RegistrySettings
from tests.support.images import image
from tests.support.readers import MemoryReader
from tests.support.scripted import Answer, ImprovisingRegistry, Received, Reply
from tests.unit.registry.clients import SESSION, blob_of, client

PASSWORD = 'pä:s"s/w+r d=1'
USER = Credentials("robot$x", PASSWORD)
BASIC = basic_authorization(USER)
SECRET = BASIC.removeprefix("Basic ")
IMAGE = image()
CONTENT = b"content"


def put_manifest(repository: Repository) -> None:
    repository.push_manifest("latest", IMAGE.manifest, IMAGE.media_type)


def put_blob(repository: Repository) -> None:
    repository.blob_upload(blob_of(CONTENT), MemoryReader(CONTENT), lambda _: None).run()


def quoting(said: str, method: str, status: int, *, ascii_only: bool) -> Callable[[Received], Reply]:
    """Return a registry that wants Basic, and quotes `said` where it refuses `method`."""
    error = {"errors": [{"code": "NO", "message": f"you sent {said}"}]}
    refused = Answer(status, body=json.dumps(error, ensure_ascii=ascii_only).encode())

    def answer(received: Received) -> Reply:
        if "Authorization" not in received.headers:
            return Answer(401, {"WWW-Authenticate": 'Basic realm="r"'})
        if received.method == method:
            return refused
        return Answer(202, {"Location": SESSION}) if received.method in {"POST", "PATCH"} else Answer(404)

    return answer


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("said", [BASIC, f"{USER.username}:{PASSWORD}", PASSWORD])
@pytest.mark.parametrize(
    ("put", "method", "status"),
    [(put_manifest, "PUT", status) for status in (400, 404, 409, 503)]
    + [(put_blob, "PUT", status) for status in (400, 404, 405, 415, 501)]
    + [(put_blob, "POST", 400)],
)
def test_no_refusal_of_a_write_shows_them(
    put: Callable[[Repository], None], method: str, status: int, said: str, *, ascii_only: bool
) -> None:
    """Rule 6.7: also where the status is one that the client knows what to do with, and JSON hides what is said."""
    with ImprovisingRegistry(quoting(said, method, status, ascii_only=ascii_only)) as registry:
        settings = RegistrySettings(credentials=USER)
        with pytest.raises(ImagePusherError, match=r"NO: you sent .*\*\*\*") as caught:
            put(client(registry.host, role="destination", push=True, settings=settings))
    shown = f"{caught.value!r} {caught.value} {caught.value.args}"
    assert [each for each in (SECRET, PASSWORD, json.dumps(PASSWORD)[1:-1]) if each in shown] == []


def test_a_registry_that_leads_elsewhere_within_itself_has_been_shown_them() -> None:
    """Rule 6.7."""
    refused = Answer(400, body=json.dumps({"errors": [{"code": "NO", "message": BASIC}]}).encode())
    with ImprovisingRegistry(lambda _: refused) as other:

        def answer(received: Received) -> Reply:
            if "Authorization" not in received.headers:
                return Answer(401, {"WWW-Authenticate": 'Basic realm="r"'})
            return Answer(307, {"Location": f"{other.url}/there"})

        with ImprovisingRegistry(answer) as registry, pytest.raises(RegistryError) as caught:
            put_manifest(client(registry.host, role="destination", settings=RegistrySettings(credentials=USER)))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        BASIC,
        SECRET,
        SECRET.rstrip("="),
        PASSWORD,
        f"{USER.username}:{PASSWORD}",
        PASSWORD.encode().decode("latin-1"),
        quote(PASSWORD, safe=""),
        quote_plus(PASSWORD),
        json.dumps(PASSWORD)[1:-1],
        base64.b64encode(PASSWORD.encode()).decode(),
    ],
)
def test_they_are_found_in_the_encodings_that_servers_use(said: str) -> None:
    """Rule 6.7: and nothing of them is left over."""
    shown = conceal(f"before {said} after", BASIC)
    assert shown.removeprefix("before ").removesuffix(" after") in {"***", "Basic ***"}


def test_a_token_is_concealed_and_all_else_is_left_as_it_is() -> None:
    assert conceal("bad Bearer abc.def in the request", "Bearer abc.def") == "bad Bearer *** in the request"
    assert conceal("nothing was shown", None) == "nothing was shown"
    assert conceal("no password", basic_authorization(Credentials("user", ""))) == "no password"
    # With neither a user nor a password there is no secret, and no colon is one.
    assert conceal("UNAUTHORIZED: no", basic_authorization(Credentials("", ""))) == "UNAUTHORIZED: no"
    assert conceal("the token t is no token", "Bearer t") == "the token *** is no token"
    assert conceal("the password is ab, not about", basic_authorization(Credentials("u", "ab"))).endswith(
        "***, not about"
    )
    assert conceal("who is t0ken?", basic_authorization(Credentials("t0ken", ""))) == "who is ***?"
