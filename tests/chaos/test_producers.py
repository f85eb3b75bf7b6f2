"""Many builds into the tags that they share, in random orders from several processes: the order leaves no trace.

The whole of it, 55 builds into 330 tags, is run by TESTS_BUILDS=55.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Node, image, index, layer
from tests.support.producer import push_at_once
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import running_worker

ARCHITECTURES = ("amd64", "arm64", "ppc64le", "riscv64", "s390x")
BUILDS = int(os.environ.get("TESTS_BUILDS", "10"))
PRODUCTS = BUILDS // len(ARCHITECTURES)
# Of each product; with all builds, six for each build.
REPOSITORIES, TAGS = 3, 10 if BUILDS >= 55 else 2
PROCESSES, WORKERS = 3, 2


class Watch:
    """A plan of a faulty proxy that spoils nothing, and counts the requests that write."""

    def __init__(self) -> None:
        self.writes: Counter[str] = Counter()

    def __str__(self) -> str:
        return "nothing"

    def choose(self, method: str, target: str, *, authorized: bool) -> None:
        if method not in {"GET", "HEAD"}:
            self.writes[f"{method} {target.partition('?')[0]}"] += 1


@pytest.fixture(params=["workers", "commands"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the settings of programs whose pushes workers do, or that do them without a broker."""
    if request.param == "commands":
        yield {"IMAGEPUSHER_STATE_DIR": str(tmp_path / "state")}
        return
    with ExitStack() as running:
        server = running.enter_context(RedisServer(appendonly=True))
        found = {"IMAGEPUSHER_BROKER_URL": server.url}
        for _ in range(WORKERS):
            running.enter_context(running_worker(found, ["--concurrency", "4"]))
        yield found


def build(name: str, product: int, architecture: str) -> Node:
    """Return a build of a product: an image, or an index of one image, as some tools push them."""
    seed = f"{name}-{product}-{architecture}"
    only = image(f"linux/{architecture}", [layer(seed, 1500)])
    return index([only]) if (product + ARCHITECTURES.index(architecture)) % 2 else only


def destinations(name: str, product: int) -> list[tuple[str, str]]:
    return [(f"{name}/p{product}-{place}", f"t{tag}") for place in range(REPOSITORIES) for tag in range(TAGS)]


@pytest.mark.timeout(3600 if BUILDS >= 55 else 600)
def test_the_second_round_of_all_builds_writes_nothing(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, settings: dict[str, str], name: str
) -> None:
    """Rules 3.2, 4.1 and 4.6."""
    drawn = random.Random(name)
    watch = Watch()
    with FaultyProxy(registry_b.host, watch) as b:
        requests = []
        for product in range(PRODUCTS):
            for architecture in ARCHITECTURES:
                upload(registry_a.host, f"{name}/src", build(name, product, architecture), f"{product}-{architecture}")
                places: dict[str, list[str]] = {}
                for repository, tag in drawn.sample(destinations(name, product), REPOSITORIES * TAGS):
                    places.setdefault(f"{b.host}/{repository}", []).append(tag)
                source = f"{registry_a.host}/{name}/src:{product}-{architecture}"
                requests.append({"items": [{"source": source, "destinations": places}]})

        def push_all() -> list[dict[str, Any]]:
            order = drawn.sample(requests, len(requests))
            return push_at_once([order[start::PROCESSES] for start in range(PROCESSES)], settings)

        first = push_all()
        assert {report["state"] for report in first} == {"succeeded"}
        held = tags(registry_b, name)
        watch.writes.clear()
        second = push_all()
    assert actions(second) == {"unchanged": len(requests) * REPOSITORIES * TAGS}
    assert watch.writes == Counter()
    assert tags(registry_b, name) == held


def tags(registry: DistributionRegistry, name: str) -> dict[str, str]:
    """Return what the tags hold: one and the same index of all architectures in each tag of a product."""
    stored = Stored(registry.host)
    held: dict[str, str] = {}
    for product in range(PRODUCTS):
        of_product = {}
        for repository, tag in destinations(name, product):
            _, _, content = stored.manifest(repository, tag)
            entries = json.loads(content)["manifests"]
            assert [entry["platform"]["architecture"] for entry in entries] == list(ARCHITECTURES), (
                f"{repository}:{tag}"
            )
            of_product[f"{repository}:{tag}"] = str(stored.digest(repository, tag))
        assert len(set(of_product.values())) == 1
        stored.holds(repository, tag)
        held |= of_product
    return held


def actions(reports: list[dict[str, Any]]) -> Counter[str]:
    return Counter(tag["action"] for report in reports for item in report["items"] for tag in item["tags"])
