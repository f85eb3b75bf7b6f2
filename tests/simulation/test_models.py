"""The models beside the real things: the same words, the same answers."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import requests
from celery.backends import redis as celery_redis
from redis.lock import Lock

from tasks.coordination.redis.leases import RENEWAL
from tests.conftest import MakeRegistry
from tests.simulation import images
from tests.simulation.broker_model import Message, Results
from tests.simulation.redis_model import Commands, Store, _sha
from tests.simulation.registry_model import Flavour, Registry
from tests.support.redis_server import RedisServer

_KEYS = ("a", "b")
_FIELDS = ("x", "y", "z")


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


def test_requests_to_the_model_are_answered_as_by_distribution(make_registry: MakeRegistry) -> None:
    """Rules 5.2 and 5.5: what a registry takes, and what it says of a part that is missing."""
    host = make_registry().host
    model = Registry("b", Flavour.DISTRIBUTION, lambda: 0.0)
    image = images.index(("linux/amd64", "linux/arm64"), "v1")
    for method, path, headers, body in _steps(image):
        if method == "upload":
            _upload(host, model, path, body)
            continue
        expected = requests.request(method, f"http://{host}{path}", headers=headers, data=body, timeout=30)
        found = model.request(method, path, headers, body)
        where = f"{method} {path}"
        assert found.status == expected.status_code, where
        assert set(_codes(found.body)) == set(_codes(expected.content)), where
        assert found.headers.get("Docker-Content-Digest") == expected.headers.get("Docker-Content-Digest") or (
            "/blobs/" in path
        ), where
        if method == "GET" and expected.ok and "tags" not in path:
            assert found.body == expected.content, where


def _upload(host: str, model: Registry, digest: str, content: bytes) -> None:
    opened = requests.post(f"http://{host}/v2/app/blobs/uploads/", timeout=30)
    address = opened.headers["Location"]
    joined = "&" if "?" in address else "?"
    stored = requests.put(f"{address}{joined}digest={digest}", data=content, timeout=30)
    begun = model.request("POST", "/v2/app/blobs/uploads/", {}, b"")
    done = model.request("PUT", f"{begun.headers['Location']}?digest={digest}", {}, content)
    assert (begun.status, done.status) == (opened.status_code, stored.status_code)


def _codes(body: bytes) -> list[str]:
    try:
        document = json.loads(body)
    except ValueError:
        return []
    return [error["code"] for error in document.get("errors") or ()] if isinstance(document, dict) else []


def _sign(milliseconds: int) -> int:
    return min(milliseconds, 1)


def _plain(answer: Any) -> Any:
    return int(answer) if isinstance(answer, bool) else answer
