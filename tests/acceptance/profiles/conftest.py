"""Push from a plain registry to one that behaves like a product, through the embedded mode or by command."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.contract import PushReport, TagReport
from tasks.registry.settings import Credentials, RegistrySettings
from tests.support import images
from tests.support.images import Image, Index, Node
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile
from tests.support.profiles.server import ProfileRegistry
from workers.client.interface import Client
from workers.settings import Settings

# Amazon's user has this name; any will do elsewhere.
USER, PASSWORD = "AWS", "secret"
_READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Scene:
    """A source, a destination that behaves like `profile`, and a client that may push there."""

    client: Client
    settings: Settings
    source: ProfileRegistry
    registry: ProfileRegistry
    name: str
    folder: Path

    @property
    def profile(self) -> Profile:
        return self.registry.profile

    @property
    def repository(self) -> str:
        """Name the destination repository, without its host."""
        return f"{self.name}/app"

    def image(self, platform: str, seed: str = "") -> Image:
        """Build an image of this test: with a layer above each limit of a small profile, and one below."""
        return images.image(
            platform,
            [images.layer(f"{self.name} {platform} {seed} {size}", size) for size in (2_000, 40_000, 150_000)],
        )

    def index(self, *platforms: str, seed: str = "") -> Index:
        return images.index([self.image(each, seed) for each in platforms])

    def offer(self, node: Node, tag: str = "1") -> str:
        """Put a node into the source and return its full reference."""
        self.source.put(f"{self.name}/src", node, tag)
        return f"{self.source.host}/{self.name}/src:{tag}"

    def request(self, source: str, *tags: str, repositories: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return a request that pushes one image to tags of repositories of the destination."""
        chosen = repositories or (self.repository,)
        return {
            "items": [{"source": source, "destinations": {f"{self.registry.host}/{each}": [*tags] for each in chosen}}]
        }

    def push(self, request: dict[str, Any]) -> PushReport:
        push_id = str(uuid.uuid4())
        self.client.send(request, push_id)
        return self.client.wait(push_id)

    def push_one(self, source: str, tag: str = "1") -> TagReport:
        """Push one image to one tag and return the tag's report."""
        (item,) = self.push(self.request(source, tag)).items
        (report,) = item.tags
        return report

    def log_in(self, password: str = PASSWORD) -> None:
        """Let the client use this password at the destination."""
        credentials = None if self.profile.access.scheme == "none" else Credentials(USER, password)
        self.settings.registries.registries[self.registry.host] = RegistrySettings(credentials=credentials)

    def writes(self, since: int = 0) -> list[str]:
        """Return the requests to the destination that were no reads, but for the first `since` requests."""
        return [f"{each.method} {each.path}" for each in self.registry.requests()[since:] if each.method not in _READS]

    def uploaded(self) -> int:
        """Return how many blobs were committed at the destination with their bytes, not mounted."""
        return sum(
            each.method == "PUT" and "/blobs/uploads/" in each.path and each.status == 201
            for each in self.registry.requests()
        )

    def command_settings(self) -> dict[str, str]:
        """Return what a command of the program needs to push here; its state is this test's."""
        settings = {"IMAGEPUSHER_STATE_DIR": str(self.folder / "state")}
        if self.profile.access.scheme != "none":
            settings["IMAGEPUSHER_DEST_CREDS"] = f"{USER}:{PASSWORD}"
        return settings

    def assert_whole(self, tag: str, digest: str, repository: str = "") -> None:
        """Assert that a tag holds a digest, and that a client can read all of it, now and when tags have ended."""
        chosen = repository or self.repository
        assert self.registry.tags(chosen).get(tag) == digest
        assert self.registry.lacks(chosen, tag) == []
        self.registry.clock.advance(30 * 86400)
        self.registry.store.collect()
        assert self.registry.lacks(chosen, tag) == []

    def entries(self, tag: str = "1") -> list[str]:
        """Return the platforms of the index that a tag of the destination holds."""
        repository = self.registry.store.repositories[self.repository]
        found = json.loads(repository.manifests[repository.tags[tag]].content)["manifests"]
        return [f"{each['platform']['os']}/{each['platform']['architecture']}" for each in found]


@pytest.fixture
def scene(profile: Profile, embedded: Client, client_settings: Settings, name: str, tmp_path: Path) -> Iterator[Scene]:
    with (
        ProfileRegistry(profiles.STRICT) as source,
        ProfileRegistry(profile, users={USER: PASSWORD}) as registry,
    ):
        made = Scene(embedded, client_settings, source, registry, name, tmp_path)
        made.log_in()
        if profile.access.creates == "never":
            for repository in ("app", "b", "c"):
                registry.store.create(f"{name}/{repository}")
        yield made
        del client_settings.registries.registries[registry.host]
