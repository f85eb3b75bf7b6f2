import socket
from dataclasses import replace

import pytest
import requests

from tests.support.images import digest_of
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile, UploadRules
from tests.unit.support.profile_client import BYTES, CONTENT, NAME, PlainClient, code, serving

DIGEST = digest_of(CONTENT)
BYTES_TYPE = BYTES["Content-Type"]


def uploading(**rules: object) -> Profile:
    return replace(profiles.STRICT, uploads=replace(UploadRules(), **rules))  # type: ignore[arg-type]


def stored(client: PlainClient) -> bytes | None:
    return client.registry.store.blobs.get(DIGEST)


def test_a_plain_registry_takes_every_form() -> None:
    for parts in ((), (CONTENT,), (CONTENT[:7], CONTENT[7:10], CONTENT[10:])):
        with serving(profiles.STRICT) as client:
            assert (client.in_parts(*parts) if parts else client.put_blob()).status_code == 201
            assert stored(client) == CONTENT
            assert client.registry.open_sessions() == []
            assert client.send("GET", f"/blobs/{DIGEST}").content == CONTENT


def test_a_streamed_body_without_a_length_is_taken() -> None:
    with serving(profiles.STRICT) as client:
        opened = client.start().headers["Location"]
        patched = client.send("PATCH", opened, data=iter([CONTENT[:100], CONTENT[100:]]), headers=BYTES)
        assert (patched.status_code, patched.headers["Range"]) == (202, f"0-{len(CONTENT) - 1}")
        assert client.commit(patched.headers["Location"], DIGEST).status_code == 201


@pytest.mark.parametrize(
    ("rules", "put", "patch", "parts"),
    [
        ({"put_limit": 1000}, 413, 201, 201),
        ({"put_limit": 0, "put_refusal": 404}, 404, 201, 201),
        ({"put_limit": 1000, "put_refusal": 400}, 400, 201, 201),
        ({"put_limit": 1000, "patch_limit": 1000}, 413, 413, 201),
        ({"part_limit": 500}, 201, 201, 413),
        ({"several_patches": "refused"}, 201, 201, 400),
        ({"several_patches": "keep_last"}, 201, 201, 400),
        ({"chunk_max": 1000}, 201, 413, 201),
    ],
)
def test_forms_that_are_not_taken(rules: dict[str, object], put: int, patch: int, parts: int) -> None:
    with serving(uploading(**rules)) as client:
        assert client.put_blob().status_code == put
        opened = client.start().headers["Location"]
        patched = client.patch(opened, CONTENT)
        committed = client.commit(patched.headers["Location"], DIGEST) if patched.ok else patched
        assert committed.status_code == patch
        assert client.in_parts(*(CONTENT[at : at + 750] for at in range(0, 3000, 750))).status_code == parts


def test_a_limit_holds_for_a_body_without_a_length() -> None:
    with serving(uploading(patch_limit=1000, limit_body="page")) as client:
        answer = client.send("PATCH", client.start().headers["Location"], data=iter([CONTENT]), headers=BYTES)
        assert (answer.status_code, answer.headers["Content-Type"]) == (413, "text/html")


def test_a_body_over_a_limit_may_get_no_answer() -> None:
    with serving(uploading(put_limit=1000, limit_body="none")) as client:
        with pytest.raises(requests.ConnectionError):
            client.put_blob()
        assert client.registry.open_sessions() == [NAME]


def test_several_parts_may_be_stored_as_other_bytes_without_a_word() -> None:
    with serving(profiles.GHCR) as client:
        assert client.in_parts(CONTENT[:1000], CONTENT[1000:]).status_code == 201
        assert stored(client) == CONTENT[1000:]


def test_the_size_of_parts_is_announced_and_enforced() -> None:
    with serving(uploading(chunk_min=1000, chunk_max=2000)) as client:
        headers = client.start().headers
        assert (headers["OCI-Chunk-Min-Length"], headers["OCI-Chunk-Max-Length"]) == ("1000", "2000")
        assert client.in_parts(CONTENT[:1500], CONTENT[1500:2500], CONTENT[2500:]).status_code == 201
        assert code(client.in_parts(CONTENT[:999], CONTENT[999:])) == (400, "SIZE_INVALID")
        assert "less than 1000 bytes" in client.registry.violations.pop()


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (profiles.STRICT, ("0-0", "0-0", "0-999", "0-999")),
        (profiles.QUAY, ("bytes=0--1", "bytes=0-0", "0-999", "bytes=0-1000")),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_how_a_session_says_where_it_stands(profile: Profile, said: tuple[str, ...]) -> None:
    with serving(profile) as client:
        opened = client.start()
        empty = client.send("GET", opened.headers["Location"])
        patched = client.patch(empty.headers["Location"], CONTENT[:1000], 0)
        status = client.send("GET", patched.headers["Location"])
        assert [each.status_code for each in (opened, empty, patched, status)] == [202, 204, 202, 204]
        assert tuple(each.headers["Range"] for each in (opened, empty, patched, status)) == said
        assert client.patch(status.headers["Location"], CONTENT[1001:], 1001).status_code == 416
        right = client.patch(status.headers["Location"], CONTENT[1000:], 1000)
        assert client.commit(right.headers["Location"], DIGEST).status_code == 201


def test_a_registry_that_ignores_content_range_takes_any_part_as_the_next_one() -> None:
    with serving(profiles.DISTRIBUTION_2_8) as client:
        first = client.patch(client.start().headers["Location"], CONTENT[:1000], 0)
        second = client.patch(first.headers["Location"], CONTENT[1000:], 1200)
        assert (second.status_code, second.headers["Range"]) == (202, "0-2999")


@pytest.mark.parametrize(
    ("profile", "expected"),
    [(profiles.STRICT, "DIGEST_INVALID"), (profiles.QUAY, "BLOB_UPLOAD_INVALID")],
    ids=lambda each: getattr(each, "name", ""),
)
def test_a_wrong_digest_ends_the_session(profile: Profile, expected: str) -> None:
    with serving(profile) as client:
        patched = client.patch(client.start().headers["Location"], CONTENT)
        assert code(client.commit(patched.headers["Location"], digest_of(b"other"))) == (400, expected)
        assert code(client.send("GET", patched.headers["Location"])) == (404, "BLOB_UPLOAD_UNKNOWN")
        assert stored(client) is None


def test_a_session_can_be_cancelled_and_is_listed_until_then() -> None:
    with serving(profiles.STRICT) as client:
        opened = client.start().headers["Location"]
        assert client.registry.open_sessions() == [NAME]
        assert client.send("DELETE", opened).status_code == 204
        assert client.registry.open_sessions() == []


def test_ecr_answers_201_to_a_patch() -> None:
    with serving(profiles.small(profiles.ECR)) as client:
        assert client.patch(client.start().headers["Location"], CONTENT).status_code == 201


def test_a_relative_location() -> None:
    with serving(profiles.ZOT) as client:
        assert client.start().headers["Location"].startswith(f"/v2/{NAME}/blobs/uploads/")


@pytest.mark.parametrize(("taken", "status"), [(True, 201), (False, 202)])
def test_a_blob_in_the_post_itself(taken: bool, status: int) -> None:
    with serving(uploading(post_with_digest=taken)) as client:
        answer = client.send("POST", f"/blobs/uploads/?digest={DIGEST}", data=CONTENT, headers=BYTES)
        assert answer.status_code == status
        assert (stored(client) == CONTENT) is taken


@pytest.mark.parametrize(
    ("profile", "origin", "status"),
    [
        (profiles.STRICT, "team/other", 201),
        (profiles.STRICT, "team/nowhere", 202),
        (profiles.QUAY, "team/other", 201),
        (profiles.QUAY, "secret/other", 202),
        (uploading(mount="session"), "team/other", 202),
        (profiles.HARBOR_WITHOUT_MOUNTS, "team/other", 403),
    ],
)
def test_mounts(profile: Profile, origin: str, status: int) -> None:
    with serving(profile) as client:
        for name in ("team/other", "secret/other"):
            registry = client.registry
            registry.store.link(registry.store.create(name, private=True), DIGEST, CONTENT)
        answer = client.send("POST", f"/blobs/uploads/?mount={DIGEST}&from={origin}")
        assert answer.status_code == status
        assert (client.send("HEAD", f"/blobs/{DIGEST}").status_code == 200) is (status == 201)
        assert client.registry.open_sessions() == ([NAME] if status == 202 else [])


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 9\r\n\r\n1234",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\n1234",
        b"Transfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_body_that_breaks_off_stores_nothing_and_is_not_answered(body: bytes) -> None:
    with serving(profiles.STRICT) as client:
        opened = client.start().headers["Location"]
        head = f"PATCH {opened.removeprefix(client.registry.url)} HTTP/1.1\r\nHost: x\r\nContent-Type: {BYTES_TYPE}\r\n"
        host, port = client.registry.host.split(":")
        with socket.create_connection((host, int(port)), 30) as connection:
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
        assert client.send("GET", opened).headers["Range"] == "0-0"


def test_parts_of_a_blob_can_be_read() -> None:
    with serving(profiles.STRICT) as client:
        client.put_blob()
        part = client.send("GET", f"/blobs/{DIGEST}", headers={"Range": "bytes=2990-"})
        assert (part.status_code, part.content) == (206, CONTENT[2990:])
        assert part.headers["Content-Range"] == "bytes 2990-2999/3000"
        assert client.send("GET", f"/blobs/{DIGEST}", headers={"Range": "bytes=3000-"}).status_code == 416
