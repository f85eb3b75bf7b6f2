"""Peculiarities of real registries, and of proxies before them, that stop no push (BEHAVIOUR section 8)."""

import gzip
import json
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from tasks.errors import AddressForbidden, ContentMismatch, RateLimited, ResponseInvalid, Retry
from tasks.oci.digest import digest_of
from tasks.registry.settings import RegistrySettings
from tests.support import images
from tests.support.certificates import Authority, Certificates
from tests.support.readers import MemoryReader
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.registry.blob.uploads import POST, SMALL
from tests.unit.registry.clients import PING, QUICK, SESSION, UPLOADS, USER, client, manifest_path

LATEST = manifest_path("latest")
IMAGE = images.image("linux/amd64")
TYPE = {"Content-Type": IMAGE.media_type}


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    authority = Authority(tmp_path)
    return Certificates(authority.path, authority.issue("server"))


def test_a_location_by_http_of_a_registry_behind_a_proxy_by_https_is_used_by_https(certificates: Certificates) -> None:
    """The registry does not know of the proxy (X-Forwarded-Proto); nothing is sent without TLS."""
    settings = RegistrySettings(ca_file=str(certificates.authority), plain_http=False)
    with ScriptedRegistry(PING, tls=certificates, ordered=True) as registry:
        opened = Answer(202, {"Location": f"http://{registry.host}{SESSION}?_state=x"})
        registry.expect(replace(POST, answer=opened), SMALL.put(session=f"{SESSION}?_state=x"))
        SMALL.push(registry, settings=settings)


def test_a_redirect_by_http_of_a_registry_behind_a_proxy_by_https_is_followed_by_https(
    certificates: Certificates,
) -> None:
    settings = RegistrySettings(ca_file=str(certificates.authority), plain_http=False)
    with ScriptedRegistry(PING, tls=certificates, ordered=True) as registry:
        moved = Answer(307, {"Location": f"http://{registry.host}/there?x=y"})
        registry.expect(
            Exchange("GET", LATEST, moved), Exchange("GET", "/there?x=y", Answer(200, TYPE, IMAGE.manifest))
        )
        assert client(registry.host, settings=settings).fetch_manifest("latest").content == IMAGE.manifest


def test_another_host_by_http_is_still_refused(certificates: Certificates) -> None:
    """8.2."""
    settings = RegistrySettings(ca_file=str(certificates.authority), plain_http=False)
    opened = replace(POST, answer=Answer(202, {"Location": "http://storage.example/x"}))
    with ScriptedRegistry(PING, opened, tls=certificates) as registry, pytest.raises(AddressForbidden):
        SMALL.push(registry, settings=settings)


CODED = [
    pytest.param("gzip", gzip.compress(IMAGE.manifest), id="gzip"),
    pytest.param("x-gzip", gzip.compress(IMAGE.manifest), id="x-gzip"),
    pytest.param("deflate", zlib.compress(IMAGE.manifest), id="deflate"),
    pytest.param("x-gzip", IMAGE.manifest, id="guessed"),
    pytest.param("identity", IMAGE.manifest, id="identity"),
]


@pytest.mark.parametrize(("encoding", "content"), CODED)
def test_a_manifest_that_a_proxy_compressed_is_read(encoding: str, content: bytes) -> None:
    """By tag, after a HEAD whose length is that of the compressed answer."""
    headers = {**TYPE, "Content-Encoding": encoding, "Docker-Content-Digest": digest_of(IMAGE.manifest)}
    answer = Answer(200, headers, content)
    script = [Exchange("HEAD", LATEST, answer), Exchange("GET", LATEST, answer)]
    reads = script if encoding != "identity" else script[:1]
    with ScriptedRegistry(PING, *reads) as registry:
        found = client(registry.host).resolve("latest")
    assert found is not None
    assert (found.digest, found.size) == (digest_of(IMAGE.manifest), len(IMAGE.manifest))


def test_a_compressed_answer_is_bounded_like_any_other() -> None:
    """8.4."""
    bomb = gzip.compress(b" " * 10_000_000 + IMAGE.manifest)
    answer = Answer(200, {**TYPE, "Content-Encoding": "gzip"}, bomb)
    with ScriptedRegistry(PING, Exchange("GET", LATEST, answer)) as registry, pytest.raises(ResponseInvalid):
        client(registry.host, limits=structs.replace(QUICK, manifest_bytes=1_000_000)).fetch_manifest("latest")


def test_a_compressed_manifest_is_verified() -> None:
    """2.4."""
    headers = {**TYPE, "Content-Encoding": "gzip", "Docker-Content-Digest": digest_of(IMAGE.manifest)}
    answer = Answer(200, headers, gzip.compress(IMAGE.manifest + b" "))
    with ScriptedRegistry(PING, Exchange("GET", LATEST, answer)) as registry, pytest.raises(ContentMismatch):
        client(registry.host).fetch_manifest("latest")


def throttled(status: int, code: str) -> Answer:
    return Answer(status, body=json.dumps({"errors": [{"code": code, "message": "Rate exceeded"}]}).encode())


LIMITS = [(400, "ThrottlingException"), (400, "TOOMANYREQUESTS"), (403, "RequestLimitExceeded"), (400, "Throttling")]


@pytest.mark.parametrize(("status", "code"), LIMITS)
def test_a_limit_with_another_status_is_waited_for(status: int, code: str) -> None:
    """8.3: on a read, on a manifest and in an upload."""
    busy = throttled(status, code)
    manifest = Exchange("PUT", LATEST, Answer(201), request_body=IMAGE.manifest)
    script = (
        PING,
        replace(POST, answer=busy),
        POST,
        SMALL.put(busy),
        SMALL.absent(),
        Exchange("GET", SESSION, Answer(204, {"Location": SESSION, "Range": "0-0"})),
        SMALL.put(),
        replace(manifest, answer=busy),
        Exchange("HEAD", LATEST, Answer(404)),
        manifest,
        Exchange("GET", LATEST, busy),
        Exchange("GET", LATEST, Answer(200, TYPE, IMAGE.manifest)),
    )
    with ScriptedRegistry(*script, ordered=True) as registry:
        destination = client(registry.host, role="destination", push=True)
        destination.blob_upload(SMALL.blob, MemoryReader(SMALL.content), lambda _: None).run()
        destination.push_manifest("latest", IMAGE.manifest, IMAGE.media_type)
        assert destination.fetch_manifest("latest").content == IMAGE.manifest


def test_a_limit_that_goes_on_is_one() -> None:
    busy = Exchange("GET", LATEST, throttled(400, "ThrottlingException"), times=3)
    with ScriptedRegistry(PING, busy) as registry, pytest.raises(RateLimited, match="Rate exceeded") as caught:
        client(registry.host).fetch_manifest("latest")
    assert caught.value.retry is Retry.LATER


def test_a_body_is_sent_again_to_where_a_redirect_leads() -> None:
    """RFC 9110, 15.4.8: to a store, without credentials, and whole."""
    stored = replace(SMALL.put(), path="/x?sig=1", request_headers={"Authorization": None})
    with ScriptedRegistry(stored) as storage:
        moved = SMALL.put(Answer(307, {"Location": f"{storage.url}/x?sig=1"}))
        with ScriptedRegistry(PING, POST, moved, ordered=True) as registry:
            SMALL.push(registry, settings=RegistrySettings(credentials=USER))


@pytest.mark.parametrize(
    "said",
    [
        {"OCI-Chunk-Min-Length": "0"},
        {"OCI-Chunk-Min-Length": "many"},
        {"OCI-Chunk-Min-Length": "-5", "OCI-Chunk-Max-Length": "1e9"},
        {"OCI-Chunk-Min-Length": "9999999999", "OCI-Chunk-Max-Length": "5"},
        {"OCI-Chunk-Min-Length": "9" * 30},
    ],
)
def test_odd_bounds_of_parts_stop_no_upload(said: dict[str, str]) -> None:
    """5.6: the whole blob in one body is never too small."""
    opened = Exchange("POST", UPLOADS, Answer(202, {"Location": SESSION, **said}))
    with ScriptedRegistry(PING, opened, SMALL.put(), ordered=True) as registry:
        SMALL.push(registry)


@pytest.mark.parametrize("realm", ["null://registry.example/v2/token", "registry.example/token", "//x/token"])
def test_a_realm_that_is_no_address_is_named_as_the_fault_of_the_registry(realm: str) -> None:
    """6.8."""
    refused = Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm}"'})
    with ScriptedRegistry(Exchange("GET", "/v2/", refused)) as registry, pytest.raises(ResponseInvalid) as caught:
        client(registry.host).fetch_manifest("latest")
    assert f"{registry.host} names a token realm that is not an http or https URL" in caught.value.message
