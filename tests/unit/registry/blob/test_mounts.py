"""A blob that the registry has is shared; a registry that denies it can be sent the bytes (BEHAVIOUR 5.1)."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tasks.errors import AuthenticationRefused, NotFound, RegistryUnavailable, RequestRefused
from tasks.registry.repository import Repository
from tasks.registry.settings import RegistrySettings
from tests.support.readers import MemoryReader
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.support.token_server import TokenServer
from tests.unit.registry.clients import NAME, PING, SESSION, UPLOADS, USER, blob_of, client

CONTENT = b"shared content"
BLOB = blob_of(CONTENT)
FROM = "other/app"
MOUNT = Exchange("POST", f"{UPLOADS}?mount={BLOB.digest}&from={FROM}", Answer(201), request_body=b"")
OFFERED = replace(MOUNT, answer=Answer(202, {"Location": f"{SESSION}?_state=x"}))
POST = Exchange("POST", UPLOADS, Answer(202, {"Location": SESSION}))
PULL_PUSH, PULL_FROM = f"repository:{NAME}:pull,push", f"repository:{FROM}:pull"


def commit(session: str) -> Exchange:
    return Exchange("PUT", f"{session}digest={BLOB.digest}", Answer(201), request_body=CONTENT)


def destination(registry: ScriptedRegistry) -> Repository:
    settings = RegistrySettings(credentials=USER)
    return client(registry.host, role="destination", push=True, settings=settings)


def test_a_mount_takes_one_request() -> None:
    with ScriptedRegistry(PING, MOUNT, ordered=True) as registry:
        assert destination(registry).mount_blob(BLOB.digest, FROM) is None


def test_a_mount_that_the_registry_did_not_make_leaves_a_session_that_takes_the_bytes() -> None:
    """No second POST."""
    with ScriptedRegistry(PING, OFFERED, commit(f"{SESSION}?_state=x&"), ordered=True) as registry:
        repository = destination(registry)
        session = repository.mount_blob(BLOB.digest, FROM)
        assert session is not None
        repository.blob_upload(BLOB, MemoryReader(CONTENT), lambda _: None, session).run()


def test_a_session_that_a_mount_left_and_that_is_gone_is_replaced() -> None:
    """5.3."""
    gone = replace(commit(f"{SESSION}?_state=x&"), answer=Answer(404))
    cancelled = Exchange("DELETE", f"{SESSION}?_state=x", Answer(404))
    with ScriptedRegistry(PING, OFFERED, gone, cancelled, POST, commit(f"{SESSION}?"), ordered=True) as registry:
        repository = destination(registry)
        session = repository.mount_blob(BLOB.digest, FROM)
        repository.blob_upload(BLOB, MemoryReader(CONTENT), lambda _: None, session).run()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RequestRefused), (403, AuthenticationRefused), (404, NotFound), (405, RequestRefused)],
)
def test_a_mount_that_is_denied_is_an_error_at_once(status: int, kind: type[Exception]) -> None:
    """8.3: and the bytes can be uploaded all the same."""
    denied = replace(MOUNT, answer=Answer(status))
    with ScriptedRegistry(PING, denied, POST, commit(f"{SESSION}?"), ordered=True) as registry:
        repository = destination(registry)
        with pytest.raises(kind):
            repository.mount_blob(BLOB.digest, FROM)
        repository.blob_upload(BLOB, MemoryReader(CONTENT), lambda _: None).run()


def test_a_mount_is_tried_again_like_any_request() -> None:
    """8.3."""
    busy = [replace(MOUNT, answer=Answer(status)) for status in (503, 429)]
    with ScriptedRegistry(PING, *busy, MOUNT, ordered=True) as registry:
        assert destination(registry).mount_blob(BLOB.digest, FROM) is None
    with (
        ScriptedRegistry(PING, replace(busy[0], times=3)) as registry,
        pytest.raises(RegistryUnavailable),
    ):
        destination(registry).mount_blob(BLOB.digest, FROM)


def test_a_mount_asks_for_both_repositories_in_one_token() -> None:
    with TokenServer({"user": "password"}) as tokens:
        challenge = Answer(401, {"WWW-Authenticate": f'Bearer realm="{tokens.realm}",service="{tokens.service}"'})
        with ScriptedRegistry(Exchange("GET", "/v2/", challenge), replace(MOUNT, times=2)) as registry:
            repository = destination(registry)
            for _ in range(2):
                assert repository.mount_blob(BLOB.digest, FROM) is None
        assert [set(each.scopes) for each in tokens.asked] == [{PULL_PUSH, PULL_FROM}]


def only_its_own(user: str | None, repository: str, actions: frozenset[str]) -> Iterable[str]:
    return actions if repository == NAME else ()


@pytest.mark.parametrize("said", ["", f',scope="{PULL_FROM} {PULL_PUSH}",error="insufficient_scope"'])
def test_a_token_that_does_not_reach_the_other_repository_is_a_denial(said: str) -> None:
    """8.1: 401, once more with a new token, and then an upload with a token for this repository alone."""
    with TokenServer({"user": "password"}, policy=only_its_own) as tokens:
        challenge = {"WWW-Authenticate": f'Bearer realm="{tokens.realm}",service="{tokens.service}"{said}'}
        denied = replace(MOUNT, answer=Answer(401, challenge), times=2)
        script = (Exchange("GET", "/v2/", Answer(401, challenge)), denied, POST, commit(f"{SESSION}?"))
        with ScriptedRegistry(*script, ordered=True) as registry:
            repository = destination(registry)
            with pytest.raises(AuthenticationRefused):
                repository.mount_blob(BLOB.digest, FROM)
            repository.blob_upload(BLOB, MemoryReader(CONTENT), lambda _: None).run()
        assert [set(each.scopes) for each in tokens.asked] == [{PULL_PUSH, PULL_FROM}] * 2 + [{PULL_PUSH}]


@pytest.mark.parametrize("status", [401, 403])
def test_a_realm_that_gives_no_such_token_is_a_denial(status: int) -> None:
    """8.1."""
    with ScriptedRegistry(Exchange("GET", "/token", Answer(status))) as realm:
        challenge = Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm.url}/token"'})
        with ScriptedRegistry(Exchange("GET", "/v2/", challenge)) as registry, pytest.raises(AuthenticationRefused):
            destination(registry).mount_blob(BLOB.digest, FROM)
