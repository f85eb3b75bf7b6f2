"""A backport and a newer release race into floating tags on real workers, some of which are killed (BEHAVIOUR 10.4).

`RACES` in the environment is how many races there are, `RACES_SEED` chooses their order.
"""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conftest import open_site
from tests.chaos.site import Site, item
from tests.support import images
from tests.support.figures import Section
from tests.support.images import Index
from tests.support.profiles import profiles
from tests.support.profiles.server import ProfileRegistry
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry

RACES = int(os.environ.get("RACES", "12"))
SEED = int(os.environ.get("RACES_SEED", "1"))
WORKERS = 3
AT_ONCE = 8
TAGS = ("1", "latest")
VERSION = "org.opencontainers.image.version"


def version(seed: str, said: str) -> Index:
    """Return an index of amd64 whose image says its version."""
    content = [images.layer(f"{seed}-{said}", 500)]
    return images.index([images.image("linux/amd64", content, config={"config": {"Labels": {VERSION: said}}})])


def actions(site: Site, push_id: str) -> dict[str, tuple[str, str | None]]:
    """Wait for a push and return, by tag, its action and code."""
    told: list[dict[str, Any]] = [tag for part in site.report(push_id)["items"] for tag in part["tags"]]
    return {tag["reference"].rpartition(":")[2]: (tag["action"], (tag["error"] or {}).get("code")) for tag in told}


@pytest.mark.timeout(600 + 20 * RACES)
def test_a_newer_release_stays_however_a_backport_races(
    registry_a: DistributionRegistry,
    redis_server: RedisServer,
    settings_file: Path,
    chaos_figures: Section,
    name: str,
) -> None:
    """Rule 10.4."""
    drawn = random.Random(SEED)
    old, backport, newer = (version(name, said) for said in ("1.9.0", "1.9.1", "1.10.0"))
    with (
        ProfileRegistry(profiles.STRICT) as registry,
        RedisServer(appendonly=True) as server,
        open_site(
            registry_a, registry, server, redis_server, {"IMAGEPUSHER_CONFIG": str(settings_file)}, chaos_figures
        ) as site,
    ):
        site.fleet.start(WORKERS)
        sources = {node.digest: site.put_a(f"{name}/src", node, str(at)) for at, node in enumerate((backport, newer))}
        races: list[tuple[str, dict[str, str]]] = []
        for number in range(RACES):
            repository = f"{name}/r{number}"
            for tag in TAGS:
                registry.put(repository, old, tag)
            atomic = drawn.choice((None, "push"))
            pushes = {}
            for node in drawn.sample((backport, newer), 2):
                destinations = {f"{registry.host}/{repository}": TAGS}
                wanted = item(sources[node.digest], destinations, forward_only="version")
                pushes[node.digest] = site.send({"items": [wanted]} | ({"atomic": atomic} if atomic else {}))
            races.append((repository, pushes))
            if drawn.random() < 0.05:
                drawn.choice(site.fleet.alive).kill()
                site.fleet.replace(WORKERS)
                site.figures.add(workers_killed=1)
            for _, under_way in races[: number + 1 - AT_ONCE]:
                for push_id in under_way.values():
                    site.report(push_id)
        for repository, pushes in races:
            forward, back = (actions(site, pushes[node.digest]) for node in (newer, backport))
            assert registry.tags(repository) == dict.fromkeys(TAGS, newer.digest)
            assert forward == dict.fromkeys(TAGS, ("copied", None))
            assert set(back.values()) <= {("copied", None), ("skipped", "older_than_destination")}
        site.figures.add(races_won_by_the_newer_release=len(races))
