"""A Redis that crashes, stays away, forgets, is full, or evicts (BEHAVIOUR 7.5)."""

import json
import random
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, cast

import pytest
import redis

from tests.chaos.conftest import MakeSite
from tests.chaos.site import PREFIX, Delay, Site, item, small_index
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Index
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def slow_push(site: Site, name: str, running: ExitStack, seconds: float = 0.3) -> tuple[dict[str, Any], Index, Delay]:
    """Prepare a push of four platforms that takes a second or two, from a registry that is slow."""
    source = small_index(name, *(f"a{number}" for number in range(4)), layers=4)
    site.put_a(f"{name}/src", source)
    site.put_b(f"{name}/dst", small_index(f"{name}-old", "ppc64le"), "merged")
    slow = Delay("GET", "/blobs/", seconds)
    proxy = running.enter_context(FaultyProxy(site.a.host, slow))
    destinations = {f"{site.b.host}/{name}/dst": ["merged", "new"]}
    return {"items": [item(f"{proxy.host}/{name}/src:1", destinations)]}, source, slow


@contextmanager
def sent(site: Site, request: dict[str, Any], *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Send a push by the command line, which waits for its report."""
    with site.cli("push", "-", "--output", "json", *arguments) as program:
        assert program.stdin is not None
        program.stdin.write(json.dumps(request).encode())
        program.stdin.close()
        program.stdin = None
        yield program


def await_end(site: Site, program: "subprocess.Popen[bytes]") -> None:
    """Wait until a push has ended, and check that it tells how."""
    try:
        answer, errors = program.communicate(timeout=300)
    except subprocess.TimeoutExpired as error:
        pushes = [key.decode().rpartition(":")[2] for key in site.results.scan_iter(f"{PREFIX}push:*[^/]")]
        stories = "\n\n".join(site.story(push_id) for push_id in pushes if "/" not in push_id)
        raise AssertionError(f"{error.stderr!r}\nleft: {site.left()}\n{stories}") from None
    if program.returncode == 0:
        assert json.loads(answer)["state"] == "succeeded"
    else:
        assert b"Error [" in errors or json.loads(answer)["state"] != "succeeded", errors.decode()
        assert b"Traceback" not in errors


def check(site: Site, report: dict[str, Any], source: Index) -> None:
    assert [tag["action"] for tag in report["items"][0]["tags"]] == ["merged", "copied"], report
    assert report["items"][0]["tags"][1]["new_digest"] == source.digest
    site.judge(report)
    site.settle()


@pytest.mark.parametrize("seed", range(3))
def test_redis_crashes_and_comes_back_with_its_log(
    make_site: MakeSite, running: ExitStack, name: str, seed: int
) -> None:
    drawn = random.Random(seed)
    server = running.enter_context(RedisServer(appendonly=True))
    site = make_site(server, {})
    site.fleet.start(2)
    request, source, _ = slow_push(site, name, running)
    push_id = site.send(request)
    time.sleep(drawn.uniform(0.05, 1.5))
    for _ in range(drawn.randint(1, 2)):
        server.kill()
        time.sleep(drawn.uniform(0.1, 1))
        server.restart()
        site.figures.add(redis_restarts=1)
        time.sleep(drawn.uniform(0.1, 1))
    check(site, site.report(push_id), source)


@pytest.mark.parametrize("patience", [20, 2])
def test_redis_is_away_for_a_while(make_site: MakeSite, running: ExitStack, name: str, patience: int) -> None:
    """Longer than a worker's patience, or shorter."""
    server = running.enter_context(RedisServer(appendonly=True))
    site = make_site(server, {"IMAGEPUSHER_OUTAGE_SECONDS": str(patience)})
    site.fleet.start(2)
    request, source, slow = slow_push(site, name, running)
    push_id = site.send(request)
    wait_until(lambda: slow.met > 2, "no copy is under way")
    server.kill()
    time.sleep(8)
    server.restart()
    site.figures.add(redis_restarts=1)
    check(site, site.report(push_id), source)


@pytest.mark.parametrize("moment", [0.2, 0.8, 1.4])
def test_redis_forgets_everything_and_the_producer_sends_again(
    make_site: MakeSite, running: ExitStack, name: str, moment: float
) -> None:
    server = running.enter_context(RedisServer())
    site = make_site(server, {})
    site.fleet.start(2)
    request, source, _ = slow_push(site, name, running)
    push_id = f"{name}-push"
    with sent(site, request, "--push-id", push_id) as program:
        wait_until(lambda: bool(site.results.exists(f"imagepusher:push:{push_id}")), "the push was never sent")
        time.sleep(moment)
        server.kill()
        time.sleep(0.5)
        server.restart()
        site.figures.add(redis_emptied=1)
        answer, errors = program.communicate(timeout=300)
    assert program.returncode == 0, errors.decode() + site.fleet.logs()
    report = json.loads(answer)
    assert {tag["action"] for tag in report["items"][0]["tags"]} <= {"merged", "copied", "unchanged"}
    assert report["items"][0]["tags"][1]["new_digest"] == source.digest
    site.settle()


def test_redis_is_full_for_a_while(make_site: MakeSite, running: ExitStack, name: str) -> None:
    server = running.enter_context(RedisServer(appendonly=True))
    site = make_site(server, {})
    site.fleet.start(2)
    request, source, slow = slow_push(site, name, running)
    push_id = site.send(request)
    wait_until(lambda: slow.met > 2, "no copy is under way")
    with redis.Redis(port=server.port) as client:
        client.config_set("maxmemory", 1_000_000)
        time.sleep(4)
        client.config_set("maxmemory", 0)
    site.figures.add(redis_full=1)
    check(site, site.report(push_id), source)


@pytest.mark.parametrize(
    "evicted",
    [
        "open",
        "push.*",
        "push:.*/plan",
        "push:.*/contents",
        r"imagepusher\..*",
        "unacked.*",
        r"_kombu\..*",
        "celery-taskset-meta-.*",
        "(?!push).*",
        "(?!push:).*",
        ".*",
    ],
)
def test_redis_evicts_what_a_push_needs(make_site: MakeSite, running: ExitStack, name: str, evicted: str) -> None:
    """It is set up wrongly: what it evicts may be gone for good, but nobody waits for ever."""
    server = running.enter_context(RedisServer())
    site = make_site(server, {})
    site.fleet.start(2, "--concurrency", "1")
    request, _, slow = slow_push(site, name, running)
    with sent(site, request) as program:
        wait_until(lambda: slow.met > 2, "no copy is under way")
        keys: list[bytes] = []

        def found() -> bool:
            every = cast("Iterable[bytes]", site.results.scan_iter())
            keys[:] = [key for key in every if re.fullmatch(f"{PREFIX}{evicted}".encode(), key)]
            return bool(keys)

        wait_until(found, f"there is no {evicted}")
        site.results.delete(*keys)
        site.figures.add(keys_evicted=len(keys))
        await_end(site, program)


def test_redis_evicts_keys_and_every_push_ends(make_site: MakeSite, running: ExitStack, name: str) -> None:
    server = running.enter_context(RedisServer())
    site = make_site(server, {})
    site.fleet.start(2)
    programs = []
    for number in range(4):
        request, _, _ = slow_push(site, f"{name}-{number}", running, 0.1)
        programs.append(running.enter_context(sent(site, request)))
    with redis.Redis(port=server.port) as client:
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", used + 400_000)
        for number in range(30):
            # For a moment nothing may be left that it could evict.
            with suppress(redis.OutOfMemoryError):
                client.set(f"junk-{number % 10}", b"x" * 100_000)
            time.sleep(0.1)
        evicted = int(client.info("stats")["evicted_keys"])
        client.config_set("maxmemory", 0)
    assert evicted
    site.figures.add(keys_evicted=evicted)
    for program in programs:
        await_end(site, program)
