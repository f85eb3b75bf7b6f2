"""The models beside the real things: the same words, the same answers."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

import pytest
import redis
import requests
from celery.backends import redis as celery_redis
from redis.lock import Lock

from tasks.coordination.redis.hashes import DROP_UP_TO_LAST, WRITE
from tasks.coordination.redis.leases import RENEWAL
from tasks.coordination.redis.tag_locks import SEEN, WRITTEN
from tests.conftest import MakeRegistry
from tests.simulation import images
from tests.simulation.broker_model import Message, Results
from tests.simulation.redis_model import Commands, Store, _sha
from tests.simulation.registry_model import Flavour, Registry
from tests.support.profiles import profiles
from tests.support.profiles.profile import AccessRules
from tests.support.profiles.server import ProfileRegistry
from tests.support.redis_server import RedisServer

_KEYS = ("a", "b")
_FIELDS = ("x", "y", "z")
_ALIKE = {"TAG_EXPIRED": "MANIFEST_UNKNOWN"}


@pytest.fixture
def real(redis_server: RedisServer) -> Iterator[redis.Redis]:
    redis_server.flush()
    with redis.Redis(port=redis_server.port) as client:
        yield client


def _command(chance: random.Random) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    key = chance.choice(_KEYS)
    field = chance.choice(_FIELDS)
    return chance.choice(  # type: ignore[return-value]  # the options of each are its own
        [
            ("set", (f"s{key}", field), {"nx": chance.random() < 0.5, "px": 60_000}),
            ("set", (f"s{key}", field), {"ex": 60}),
            ("get", (f"s{key}",), {}),
            ("exists", (f"s{key}",), {}),
            ("hset", (f"h{key}", field, "1"), {}),
            ("hset", (f"h{key}",), {"mapping": {"x": "1", "z": "2"}}),
            ("hget", (f"h{key}", field), {}),
            ("hmget", (f"h{key}", ["x", "y"]), {}),
            ("hgetall", (f"h{key}",), {}),
            ("hlen", (f"h{key}",), {}),
            ("hincrby", (f"h{key}", "n", 1), {}),
            ("hdel", (f"h{key}", field, "n"), {}),
            ("sadd", (f"t{key}", field), {}),
            ("srem", (f"t{key}", field), {}),
            ("zadd", (f"z{key}", {field: chance.randint(1, 9)}), {}),
            ("zremrangebyscore", (f"z{key}", "-inf", 4), {}),
            ("zcard", (f"z{key}",), {}),
            ("lpush", (f"l{key}", field), {}),
            ("llen", (f"l{key}",), {}),
            ("lrange", (f"l{key}", 0, -1), {}),
            ("lrem", (f"l{key}", 1, field), {}),
            ("lmove", ("la", "lb", "RIGHT", "LEFT"), {}),
            ("expire", (f"h{key}", 60), {}),
            ("delete", (f"h{key}", f"s{key}"), {}),
        ]
    )


@pytest.mark.parametrize("seed", range(20))
def test_commands_of_the_model_answer_as_redis_does(real: redis.Redis, seed: int) -> None:
    chance = random.Random(seed)
    model = Commands(Store(lambda: 0.0))
    for _ in range(150):
        name, args, options = _command(chance)
        expected = getattr(real, name)(*args, **options)
        found = getattr(model, name)(*args, **options)
        assert _plain(found) == _plain(expected), (name, args, options)
        for key in _KEYS:
            for kind in "sht":
                assert _sign(model.pttl(f"{kind}{key}")) == _sign(real.pttl(f"{kind}{key}")), (name, args)


def test_the_scripts_of_the_lock_mean_what_the_model_says(real: redis.Redis) -> None:
    model = Commands(Store(lambda: 0.0))
    for key, token, other in (("k", "mine", "theirs"), ("absent", "mine", "mine")):
        if key == "k":
            real.set(key, token, px=60_000)
            model.set(key, token, px=60_000)
        for script, args in (
            (RENEWAL, (90_000, other)),
            (RENEWAL, (90_000, token)),
            (Lock.LUA_RELEASE_SCRIPT, (other,)),
            (Lock.LUA_RELEASE_SCRIPT, (token,)),
            (Lock.LUA_RELEASE_SCRIPT, (token,)),
        ):
            expected = real.register_script(script)(keys=[key], args=list(args))
            assert model.script(_sha(script), [key], list(args)) == expected
            assert _sign(model.pttl(key)) == _sign(real.pttl(key))


def test_the_script_that_notes_what_others_wrote_means_what_the_model_says(real: redis.Redis) -> None:
    model = Commands(Store(lambda: 0.0))
    script = real.register_script(SEEN)
    for args in (("", "a", 90, b"bytes", 60), ("b", "c", 90, b"", 60), ("a", "b", 90, b"", 60), ("b", "", 90, b"", 60)):
        keys = ["written:t", "written-bytes:t"]
        assert model.script(_sha(SEEN), keys, list(args)) == script(keys=keys, args=list(args))
        assert (model.hgetall(keys[0]), model.get(keys[1])) == (real.hgetall(keys[0]), real.get(keys[1]))


def test_the_script_that_ends_a_write_means_what_the_model_says(real: redis.Redis) -> None:
    model = Commands(Store(lambda: 0.0))
    script, keys = real.register_script(WRITTEN), ["written:t", "written-bytes:t"]
    for announced, kept, noted in (("", b"bytes", 1), ("b", b"other", 0), (None, b"", 1), ("a", b"bytes", 1)):
        args: list[Any] = ["a 1 p", "begun a 1 p", "a", "1 p", 90, kept, 60]
        fields: Any = {"begun a 1 p": ""} | ({} if announced is None else {"a 1 p": announced})
        for server in (real, model):
            server.hset(keys[0], mapping=fields)
        assert model.script(_sha(WRITTEN), keys, list(args)) == script(keys=keys, args=list(args)) == noted
        assert (model.hgetall(keys[0]), model.get(keys[1])) == (real.hgetall(keys[0]), real.get(keys[1]))


def test_the_script_that_closes_a_push_means_what_the_model_says(real: redis.Redis) -> None:
    model = Commands(Store(lambda: 0.0))
    script = real.register_script(DROP_UP_TO_LAST)
    for server in (real, model):
        server.hset("waiting", mapping={"first": b"1", "again": b"1"})
        server.hset("open", mapping={"p": b"1", "q": b"1"})
    for fields, left in ((("first",), 2), ((), 2), (("again", "other"), 1), ((), 1)):
        script(keys=["waiting", "open"], args=["p", *fields])
        model.script(_sha(DROP_UP_TO_LAST), ["waiting", "open"], ["p", *fields])
        assert (model.hlen("open"), model.hlen("waiting")) == (real.hlen("open"), real.hlen("waiting"))
        assert real.hlen("open") == left


def test_the_script_that_writes_over_known_values_means_what_the_model_says(real: redis.Redis) -> None:
    model = Commands(Store(lambda: 0.0))
    script, keys = real.register_script(WRITE), ["push", "push", "tags"]
    for over, value in (((), b"first"), ((), b"second"), ((b"other", b"first"), b"third"), ((b"first",), b"fourth")):
        args: list[Any] = [90, "field", len(over), *over, 2, "field", value, "updated", b"1", 1, "tag", value]
        assert model.script(_sha(WRITE), keys, list(args)) == script(keys=keys, args=list(args))
        for key in ("push", "tags"):
            assert model.hgetall(key) == real.hgetall(key)
            assert _sign(model.pttl(key)) == _sign(real.pttl(key))


@pytest.mark.parametrize("seed", range(20))
def test_chords_are_counted_as_celerys_script_counts_them(real: redis.Redis, seed: int) -> None:
    chance = random.Random(seed)
    store = Store(lambda: 0.0)
    results = Results(store, None)  # type: ignore[arg-type]
    script = real.register_script(vars(celery_redis)["CHORD_PART_RETURN_LUA"])
    names = {part: f"g{part}" for part in ("j", "t", "s", "d", "", "c")}
    size = chance.choice([1, 2, 3])
    for step in range(12):
        part = chance.randrange(size)
        if step == chance.randrange(4):
            real.set(names["s"], size)
            store.put("chord:g:size", size)
        token = f"token{step}"
        reply = script(
            keys=[names["j"], names["t"], names["s"], names["d"], names[""], names["c"]],
            args=[f"t{part}", f"[1, t{part}]", 1, part, 1000, 1000, 6, token],
        )
        message = Message("copy", f"t{part}", ("p",), group="g", index=part)
        assert results._count("g", message, token) == bool(reply[3]), (step, part)
        if reply[3] and chance.random() < 0.5:
            # The claimant died: its claim ends.
            real.delete(names["c"])
            store.drop("chord:g:claim")
        elif reply[3]:
            real.set(names["c"], "done")
            results._clean("g", token)


def _steps(image: images.Image) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Yield requests: method, path, headers, body."""
    member, other = image.members[0], image.members[1]
    manifests = "/v2/app/manifests"
    as_image, as_index = {"Content-Type": images.MANIFEST}, {"Content-Type": images.INDEX}
    blobs = dict(member.blobs)
    yield "HEAD", f"{manifests}/1", {}, b""
    yield "PUT", f"{manifests}/{member.digest}", as_image, member.content
    for digest, content in blobs.items():
        yield "HEAD", f"/v2/app/blobs/{digest}", {}, b""
        yield "upload", digest, {}, content
        yield "HEAD", f"/v2/app/blobs/{digest}", {}, b""
        yield "GET", f"/v2/app/blobs/{digest}", {}, b""
    yield "PUT", f"{manifests}/{member.digest}", as_image, member.content
    yield "HEAD", f"{manifests}/{member.digest}", {"Accept": images.MANIFEST}, b""
    yield "PUT", f"{manifests}/1", as_index, image.content
    yield "POST", f"/v2/other/blobs/uploads/?mount={next(iter(blobs))}&from=app", {}, b""
    yield "HEAD", f"/v2/other/blobs/{next(iter(blobs))}", {}, b""
    for digest, content in dict(other.blobs).items():
        yield "upload", digest, {}, content
    yield "PUT", f"{manifests}/{other.digest}", as_image, other.content
    yield "PUT", f"{manifests}/1", as_index, image.content
    yield "GET", f"{manifests}/1", {"Accept": images.INDEX}, b""
    yield "PUT", f"{manifests}/1", as_image, member.content
    yield "GET", f"{manifests}/{image.digest}", {"Accept": images.INDEX}, b""
    yield "PUT", f"{manifests}/2", as_index, image.content
    yield "GET", "/v2/app/tags/list", {}, b""
    yield "DELETE", f"{manifests}/2", {}, b""
    yield "DELETE", f"{manifests}/{image.digest}", {}, b""
    yield "HEAD", f"{manifests}/2", {"Accept": images.INDEX}, b""
    yield "HEAD", f"{manifests}/1", {"Accept": images.MANIFEST}, b""
    yield "DELETE", f"{manifests}/{image.digest}", {}, b""


def _later_steps(image: images.Image, other: images.Image) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Yield requests about what is kept: by tags, for an hour without one, and what refers to it."""
    manifests = "/v2/app/manifests"
    as_image, as_index = {"Content-Type": images.MANIFEST}, {"Content-Type": images.INDEX}
    said = images.referrer(image, "alice")
    for digest, content in dict((*image.blobs, *other.blobs, *said.blobs)).items():
        yield "upload", digest, {}, content
    for member in (*image.members, *other.members):
        yield "PUT", f"{manifests}/{member.digest}", as_image, member.content
    yield "PUT", f"{manifests}/1", as_index, image.content
    yield "PUT", f"{manifests}/{said.digest}", as_image, said.content
    yield "GET", f"/v2/app/referrers/{image.digest}", {}, b""
    yield "GET", f"/v2/app/referrers/{other.digest}", {}, b""
    yield "hour", "", {}, b""
    for member in (*image.members, *other.members):
        yield "HEAD", f"{manifests}/{member.digest}", {"Accept": images.MANIFEST}, b""
    yield "collect", "", {}, b""
    yield "PUT", f"{manifests}/1", as_index, other.content
    yield "GET", f"{manifests}/1", {"Accept": images.INDEX}, b""
    for digest, content in other.blobs:
        yield "upload", digest, {}, content
    for member in other.members:
        yield "PUT", f"{manifests}/{member.digest}", as_image, member.content
    yield "PUT", f"{manifests}/1", as_index, other.content
    for member in (image, *image.members, other, *other.members):
        yield "GET", f"{manifests}/{member.digest}", {"Accept": member.media_type}, b""
    yield "PUT", f"{manifests}/1", as_index, image.content
    yield "GET", "/v2/app/tags/list", {}, b""


class _Beside:
    """A model and a real registry that are asked the same; `base` is the address of the real one."""

    def __init__(self, base: str, model: Registry) -> None:
        self._base = base
        self._model = model

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        """Send one request to both, and compare the answers; raises AssertionError."""
        if method == "upload":
            self._upload(path, body)
            return
        expected = requests.request(method, f"{self._base}{path}", headers=headers, data=body, timeout=30)
        found = self._model.request(method, path, headers, body)
        where = f"{method} {path}"
        assert found.status == expected.status_code, where
        assert set(_codes(found.body)) == set(_codes(expected.content)), where
        for name in ("Docker-Content-Digest", "OCI-Subject"):
            blob = name == "Docker-Content-Digest" and ("/blobs/" in path or method == "DELETE")
            assert blob or found.headers.get(name) == expected.headers.get(name), where
        if "/referrers/" in path and expected.ok:
            assert images.listed_in(found.body) == images.listed_in(expected.content), where
        elif method == "GET" and expected.ok and "tags" not in path:
            assert found.body == expected.content, where

    def _upload(self, digest: str, content: bytes) -> None:
        opened = requests.post(f"{self._base}/v2/app/blobs/uploads/", timeout=30)
        address = urljoin(opened.url, opened.headers["Location"])
        joined = "&" if "?" in address else "?"
        as_bytes = {"Content-Type": "application/octet-stream"}
        stored = requests.put(f"{address}{joined}digest={digest}", data=content, headers=as_bytes, timeout=30)
        begun = self._model.request("POST", "/v2/app/blobs/uploads/", {}, b"")
        done = self._model.request("PUT", f"{begun.headers['Location']}?digest={digest}", {}, content)
        assert (begun.status, done.status) == (opened.status_code, stored.status_code)


def test_requests_to_the_model_are_answered_as_by_distribution(make_registry: MakeRegistry) -> None:
    """Rules 5.2 and 5.5: what a registry takes, and what it says of a part that is missing."""
    beside = _Beside(f"http://{make_registry().host}", Registry("b", Flavour.DISTRIBUTION, lambda: 0.0))
    for step in _steps(images.index(("linux/amd64", "linux/arm64"), "v1")):
        beside.ask(*step)


_PROFILES = {Flavour.QUAY: profiles.QUAY, Flavour.ZOT: profiles.ZOT, Flavour.DISTRIBUTION: profiles.DISTRIBUTION_2_8}


@pytest.mark.parametrize("flavour", Flavour)
def test_requests_to_the_model_are_answered_as_by_the_profile(flavour: Flavour) -> None:
    """Rules 5.2, 5.5, 6.6 and 9.1: what is served without a tag, and for how long, and what refers to it."""
    profile = replace(_PROFILES[flavour], access=AccessRules())
    image, other = (images.index(("linux/amd64", "linux/arm64"), version) for version in ("v1", "v2"))
    for steps in (_steps(image), _later_steps(image, other)):
        with ProfileRegistry(profile) as registry:
            model = Registry("b", flavour, registry.clock.now)
            beside = _Beside(registry.url, model)
            for method, path, headers, body in steps:
                if method == "hour":
                    registry.clock.advance(3601)
                elif method == "collect" and flavour is Flavour.QUAY:
                    # Quay keeps for some weeks what has lost its last tag; the others collect nothing here.
                    registry.clock.advance(profile.manifests.time_machine_seconds)
                    registry.store.collect()
                    model.collect()
                elif method != "collect":
                    beside.ask(method, path, headers, body)


def _codes(body: bytes) -> list[str]:
    try:
        document = json.loads(body)
    except ValueError:
        return []
    codes = [error["code"] for error in document.get("errors") or ()] if isinstance(document, dict) else []
    # Quay has a code of its own for a tag that is gone; where there is no API, some say 404 and no more.
    return [_ALIKE.get(code, code) for code in codes if code != "NOT_FOUND"]


def _sign(milliseconds: int) -> int:
    return min(milliseconds, 1)


def _plain(answer: Any) -> Any:
    return int(answer) if isinstance(answer, bool) else answer
