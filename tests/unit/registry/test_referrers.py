"""The list of referrers of a manifest: pages, filters, and registries that have none (BEHAVIOUR 9.1)."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tasks.errors import RegistryUnavailable, ResponseInvalid
from tasks.oci.digest import Digest
from tasks.registry.referrers import ReferrersKnown
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tests.support import images
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile, ReferrerRules
from tests.support.profiles.server import ProfileRegistry
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.registry.clients import NAME, PING, client

NODE = images.image()
DIGEST = Digest(NODE.digest)
PATH = f"/v2/{NAME}/referrers/{DIGEST}"
INDEX = {"Content-Type": images.OCI_INDEX}
EMPTY = b'{"schemaVersion": 2, "manifests": []}'
NOTES = [images.artifact(f"{number}".encode(), f"application/x{number % 2}", NODE) for number in range(5)]


@pytest.fixture(params=[True, False], ids=["filters", "sends-all"])
def paged(request: pytest.FixtureRequest) -> Iterator[ProfileRegistry]:
    """Run a registry that gives two entries a page, and one that knows no filter."""
    rules = ReferrerRules(page_limit=2, filters=request.param)
    profile: Profile = replace(profiles.STRICT, referrers=rules)
    with ProfileRegistry(profile) as registry:
        registry.put(NAME, NODE)
        for note in NOTES:
            registry.put(NAME, note)
        yield registry


def test_all_pages_are_read(paged: ProfileRegistry) -> None:
    found = client(paged.host).referrers(DIGEST)
    assert found is not None
    assert {each.digest: each.artifact_type for each in found} == {
        note.digest: note.document["artifactType"] for note in NOTES
    }
    assert len([each for each in paged.requests() if "/referrers/" in each.path]) == 3


def test_one_type_is_asked_for_and_another_is_never_returned(paged: ProfileRegistry) -> None:
    found = client(paged.host).referrers(DIGEST, "application/x1")
    assert found is not None
    assert {each.digest for each in found} == {NOTES[1].digest, NOTES[3].digest}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404),
        Answer(400),
        Answer(405),
        Answer(501),
        Answer(200, {"Content-Type": "text/html"}, b"<!doctype html><title>Sign in</title>"),
    ],
)
def test_a_registry_without_the_api_is_asked_once(answer: Answer) -> None:
    with ScriptedRegistry(PING, Exchange("GET", PATH, answer)) as registry:
        repository = client(registry.host)
        assert [repository.may_list_referrers] == [None]
        assert repository.referrers(DIGEST) is None
        assert [repository.may_list_referrers] == [False]
        assert repository.referrers(DIGEST) is None


def test_each_repository_says_for_itself_whether_it_has_the_api() -> None:
    """Rule 9.1: behind one host may be several products."""
    other = f"/v2/team/other/referrers/{DIGEST}"
    script = [Exchange("GET", PATH, Answer(404)), Exchange("GET", other, Answer(200, INDEX, EMPTY))]
    with ScriptedRegistry(PING, *script) as registry:
        registries = Registries(RegistryConfiguration())
        old, new = (registries.repository(registry.host, name, "source") for name in (NAME, "team/other"))
        assert (old.referrers(DIGEST), new.referrers(DIGEST)) == (None, [])
        assert (old.may_list_referrers, new.may_list_referrers) == (False, True)


@pytest.mark.parametrize(("status", "code"), [(400, "MANIFEST_INVALID"), (404, "NAME_UNKNOWN")])
def test_an_unknown_subject_says_nothing_of_the_api(status: int, code: str) -> None:
    """Rule 9.1: Quay refuses to list the referrers of a manifest that an index names and that is not there."""
    refused = Answer(status, body=json.dumps({"errors": [{"code": code, "message": "no", "detail": {}}]}).encode())
    listed = Answer(200, INDEX, EMPTY)
    with ScriptedRegistry(PING, *[Exchange("GET", PATH, each) for each in (refused, listed)]) as registry:
        repository = client(registry.host)
        assert repository.referrers(DIGEST) is None
        assert [repository.may_list_referrers] == [None]
        assert repository.referrers(DIGEST) == []


def test_one_refusal_does_not_count_against_a_list() -> None:
    script = [Exchange("GET", PATH, each) for each in (Answer(200, INDEX, EMPTY), Answer(404))]
    with ScriptedRegistry(PING, *script) as registry:
        repository = client(registry.host)
        assert [repository.referrers(DIGEST), repository.referrers(DIGEST)] == [[], None]
        assert [repository.may_list_referrers] == [True]


def test_a_repository_is_asked_again_after_a_while() -> None:
    """Rule 9.1: a registry may get the API while a worker runs."""
    now = 0.0
    known = ReferrersKnown(lambda: now)
    known.note(NAME, False)
    assert known.of(NAME) is False
    now = 3600.0
    assert known.of(NAME) is None


def test_that_nothing_refers_to_a_manifest_says_that_there_is_an_api() -> None:
    with ScriptedRegistry(PING, Exchange("GET", PATH, Answer(200, INDEX, EMPTY))) as registry:
        repository = client(registry.host)
        assert repository.referrers(DIGEST) == []
        assert [repository.may_list_referrers] == [True]


def test_a_registry_that_does_not_answer_has_not_said_that_it_has_no_api() -> None:
    with ScriptedRegistry(PING, *[Exchange("GET", PATH, Answer(503))] * 3) as registry:
        repository = client(registry.host)
        with pytest.raises(RegistryUnavailable):
            repository.referrers(DIGEST)
        assert [repository.may_list_referrers] == [None]


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"manifests": [{}]}', b'{"manifests": [{"digest": "sha256:0"}]}'])
def test_what_is_no_list_is_an_error(body: bytes) -> None:
    with (
        ScriptedRegistry(PING, Exchange("GET", PATH, Answer(200, INDEX, body))) as registry,
        pytest.raises(ResponseInvalid),
    ):
        client(registry.host).referrers(DIGEST)


def test_pages_without_end_are_an_error() -> None:
    again = Answer(200, INDEX | {"Link": f'<{PATH}>; rel="next"'}, EMPTY)
    with (
        ScriptedRegistry(PING, Exchange("GET", PATH, again)) as registry,
        pytest.raises(ResponseInvalid, match="does not end"),
    ):
        client(registry.host).referrers(DIGEST)
