import http.client
import threading
from dataclasses import replace

import pytest
import requests

from tests.support import images
from tests.support.images import digest_of
from tests.support.profiles import profiles
from tests.support.profiles.profile import RateLimit
from tests.support.profiles.server import ProfileRegistry
from tests.support.scripted import Answer, NoAnswer
from tests.unit.support.profile_client import BYTES, CONTENT, NAME, PlainClient, serving

ONE = images.image()
DIGEST = digest_of(CONTENT)


@pytest.mark.parametrize(
    ("method", "path", "options", "fault"),
    [
        ("GET", "/manifests/-x", {}, "neither a tag nor a digest"),
        ("GET", "/manifests/sha256:12", {}, "neither a tag nor a digest"),
        ("GET", "/blobs/latest", {}, "not a digest"),
        ("POST", f"/blobs/uploads/?mount=latest&from={NAME}", {}, "mount is not a digest"),
        ("GET", "/tags/list?page=2", {}, "unknown parameters: page"),
        ("PUT", "/manifests/1", {"data": b"{}"}, "a manifest without Content-Type"),
        ("POST", "/manifests/1", {}, "manifest has no POST"),
        ("GET", "/tags", {}, "no such endpoint"),
        ("GET", "/manifests/1", {"data": b"x"}, "a body that nothing asks for"),
    ],
)
def test_what_the_specification_forbids_fails_the_test(
    method: str, path: str, options: dict[str, bytes], fault: str
) -> None:
    registry = ProfileRegistry(profiles.STRICT)
    with pytest.raises(AssertionError, match=fault), registry:
        PlainClient(registry, user=None).send(method, path, **options)


def test_names_outside_of_the_grammar_fail_the_test() -> None:
    registry = ProfileRegistry(profiles.STRICT)
    with pytest.raises(AssertionError, match="outside of the grammar"), registry:
        PlainClient(registry, "Team/App", None).get("1")


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ({"Content-Type": "text/plain"}, "Content-Type of content"),
        (BYTES | {"Content-Range": "bytes 0-9/10"}, "Content-Range is not START-END"),
        (BYTES | {"Content-Range": "0-10"}, "Content-Range and Content-Length differ"),
    ],
)
def test_headers_of_an_upload_that_are_wrong_fail_the_test(headers: dict[str, str], fault: str) -> None:
    registry = ProfileRegistry(profiles.STRICT)
    client = PlainClient(registry, user=None)
    with pytest.raises(AssertionError, match=fault), registry:
        client.send("PATCH", client.start().headers["Location"], data=CONTENT[:10], headers=headers)


def test_a_location_that_is_not_used_to_the_letter_fails_the_test() -> None:
    registry = ProfileRegistry(profiles.STRICT)
    client = PlainClient(registry, user=None)
    with pytest.raises(AssertionError, match="to the letter"), registry:
        client.commit(client.start().headers["Location"].partition("?")[0], DIGEST, CONTENT)


def test_a_manifest_under_another_digest_fails_the_test() -> None:
    registry = ProfileRegistry(profiles.STRICT)
    with pytest.raises(AssertionError, match="another digest"), registry:
        PlainClient(registry, user=None).put_manifest(ONE, digest_of(b"other"))


def test_violations_are_notes_of_an_error_that_is_there_already() -> None:
    registry = ProfileRegistry(profiles.STRICT)
    with pytest.raises(ZeroDivisionError) as raised, registry:
        assert 1 / (PlainClient(registry, user=None).get("-x").status_code - 404)
    assert "neither a tag nor a digest" in raised.value.__notes__[0]


def test_requests_are_recorded_with_their_statuses() -> None:
    with serving(profiles.STRICT) as client:
        client.put_blob()
        client.get("1")
        found = [(each.method, each.path.split("/")[4], each.status) for each in client.registry.requests()]
        assert found == [("POST", "blobs", 202), ("PUT", "blobs", 201), ("GET", "manifests", 404)]


def test_blobs_and_manifests_behind_signed_urls() -> None:
    with serving(profiles.REDIRECTING_STORE) as client:
        client.registry.put(NAME, ONE, "1")
        assert client.send("HEAD", "/manifests/1").status_code == 307
        for path, content in ((f"/blobs/{next(iter(ONE.blobs))}", None), ("/manifests/1", ONE.manifest)):
            moved = client.send("GET", path)
            assert moved.status_code == 307
            found = requests.get(moved.headers["Location"], timeout=30)
            assert found.status_code == 200
            assert content in {None, found.content}
            assert requests.head(moved.headers["Location"], timeout=30).status_code == 403
        client.registry.clock.advance(600)
        assert requests.get(moved.headers["Location"], timeout=30).status_code == 403
        client.registry.objects.expire(1)
        statuses = [
            requests.get(client.send("GET", "/manifests/1").headers["Location"], timeout=30).status_code
            for _ in range(2)
        ]
        assert statuses == [403, 200]


def test_the_store_behind_ecr_may_be_overloaded() -> None:
    with serving(profiles.ECR) as client:
        client.registry.put(NAME, ONE, "1")
        client.registry.objects.inject(Answer(503, body=b"<Error><Code>SlowDown</Code></Error>"))
        digest, content = next(iter(ONE.blobs.items()))
        location = client.send("GET", f"/blobs/{digest}").headers["Location"]
        assert [requests.get(location, timeout=30).status_code for _ in range(2)] == [503, 200]
        assert client.send("HEAD", f"/blobs/{digest}").status_code == 200
        assert requests.get(location, headers={"Range": "bytes=5-"}, timeout=30).content == content[5:]


def test_credentials_that_follow_a_redirect_fail_the_test() -> None:
    registry = ProfileRegistry(profiles.REDIRECTING_STORE)
    with pytest.raises(AssertionError, match="credentials were sent"), registry:
        requests.get(f"{registry.objects.url}/signed/1", auth=("user", "secret"), timeout=30)


@pytest.mark.parametrize(
    ("limit", "body", "media_type"),
    [
        (RateLimit(requests=2, seconds=60, retry_after="7200"), "TOOMANYREQUESTS", "application/json"),
        (RateLimit(requests=2, seconds=60, words="page"), "<html>", "text/html"),
        (RateLimit(requests=2, seconds=60, words="empty"), "", None),
    ],
)
def test_rate_limits(limit: RateLimit, body: str, media_type: str | None) -> None:
    with serving(profiles.STRICT) as client:
        client.registry.rate_limit = limit
        assert [client.get("1").status_code for _ in range(3)] == [404, 404, 429]
        refused = client.get("1")
        assert body in refused.text
        assert (refused.headers.get("Content-Type"), refused.headers.get("Retry-After")) == (
            media_type,
            limit.retry_after,
        )
        client.registry.clock.advance(60)
        assert client.get("1").status_code == 404


def test_docker_hub_counts_no_heads() -> None:
    with serving(profiles.DOCKER_HUB) as client:
        client.registry.put(NAME, ONE, "1")
        client.registry.rate_limit = RateLimit(requests=1, seconds=60, counts="manifest_gets")
        assert [client.send("HEAD", "/manifests/1").status_code for _ in range(3)] == [200] * 3
        assert [client.get("1").status_code for _ in range(2)] == [200, 429]


def test_a_warning_and_answers_before_the_answer() -> None:
    with serving(profiles.CHATTY) as client:
        connection = http.client.HTTPConnection(client.registry.host, timeout=30)
        connection.putrequest("GET", "/v2/")
        connection.endheaders()
        assert connection.sock is not None
        with connection.sock.makefile("rb") as answer:
            lines = [answer.readline().strip() for _ in range(5)]
        assert lines[0::2] == [b"HTTP/1.1 102 Processing", b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 200 OK"]
        connection.close()
    with serving(replace(profiles.CHATTY, interim=())) as client:
        assert client.get("1").headers["Warning"] == '299 - "this registry moves next week"'


def test_a_commit_can_be_held_until_its_client_has_left() -> None:
    with serving(profiles.STRICT) as client:
        opened = client.start().headers["Location"]
        with client.registry.gates.hold("PUT", "/blobs/uploads/") as gate:
            with pytest.raises(requests.ReadTimeout):
                requests.put(f"{opened}&digest={DIGEST}", data=CONTENT, headers=BYTES, timeout=0.2)
            gate.wait()
            assert client.send("HEAD", f"/blobs/{DIGEST}").status_code == 404
        while client.send("HEAD", f"/blobs/{DIGEST}").status_code != 200:
            pass
        assert client.registry.open_sessions() == []


def test_a_request_can_be_held_after_it_took_effect() -> None:
    with serving(profiles.STRICT) as client, client.registry.gates.hold("POST", "/uploads/", "after") as gate:
        sent = threading.Thread(target=client.start)
        sent.start()
        gate.wait()
        assert client.registry.open_sessions() == [NAME]
        gate.open()
        sent.join()


def test_answers_can_be_put_in_place_of_real_ones() -> None:
    with serving(profiles.STRICT) as client:
        gates = client.registry.gates
        gates.inject("POST", "/uploads/", Answer(504), NoAnswer.DROP)
        gates.inject("POST", "/uploads/", Answer(500), when="after")
        assert client.start().status_code == 504
        with pytest.raises(requests.ConnectionError):
            client.start()
        assert client.registry.open_sessions() == []
        assert client.start().status_code == 500
        assert client.registry.open_sessions() == [NAME]
        assert client.start().status_code == 202
