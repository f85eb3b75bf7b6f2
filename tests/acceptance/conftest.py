"""Push from registry A to registry B through the embedded mode, shared by all tests of a run, and look at B."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec import structs

from tasks import contract
from tasks.contract import PushReport, TagReport
from tasks.errors import RequestInvalid
from tasks.registry.settings import HttpLimits, RegistryConfiguration, RegistrySettings
from tasks.transfer.request.target import Target
from tests.support.images import Node
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from workers.client.interface import Client
from workers.client.open import open_client
from workers.settings import Settings, load_settings


@dataclass(frozen=True)
class World:
    """Two registries, a client, and names that no other test uses."""

    client: Client
    a: DistributionRegistry
    b: DistributionRegistry
    name: str
    settings: Settings

    @property
    def targets(self) -> dict[str, Target]:
        """Return the targets of the client's settings: a test may add some under names of its own."""
        return self.settings.targets

    @property
    def registries(self) -> dict[str, RegistrySettings]:
        """Return what the client's settings say of registries: a test may add the ones that it starts."""
        return self.settings.registries.registries

    @property
    def source(self) -> str:
        """Name the source repository of this test, without its host."""
        return f"{self.name}/src"

    @property
    def destination(self) -> str:
        """Name the destination repository of this test, without its host."""
        return f"{self.name}/dst"

    @property
    def stored(self) -> Stored:
        return Stored(self.b.host)

    def put_a(self, node: Node, tag: str = "1", repository: str | None = None) -> str:
        """Put a node into A and return its full reference."""
        upload(self.a.host, repository or self.source, node, tag)
        return f"{self.a.host}/{repository or self.source}:{tag}"

    def put_b(self, node: Node, tag: str = "1", repository: str | None = None) -> str:
        """Put a node into B and return its digest."""
        return upload(self.b.host, repository or self.destination, node, tag)

    def item(self, source: str, *tags: str, **options: Any) -> dict[str, Any]:
        """Return an item that goes to the destination repository of this test."""
        return {"source": source, "destinations": {f"{self.b.host}/{self.destination}": list(tags or ("1",))}} | options

    def push(self, *items: dict[str, Any], **options: Any) -> PushReport:
        """Push items and return the report."""
        push_id = options.pop("push_id", None) or str(uuid.uuid4())
        self.client.send({"items": list(items)} | options, push_id)
        return self.client.wait(push_id)

    def push_one(self, source: str, **options: Any) -> TagReport:
        """Push one image to tag 1 and return the tag's report."""
        (item,) = self.push(self.item(source, **options)).items
        (tag,) = item.tags
        return tag

    def refused(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """Push an invalid request and return its faults."""
        push_id = str(uuid.uuid4())
        self.client.send(request, push_id)
        with pytest.raises(RequestInvalid) as refusal:
            self.client.wait(push_id)
        assert [push.state for push in self.client.pushes() if push.push_id == push_id] == ["refused"]
        return refusal.value.faults

    def entries(self, tag: str = "1") -> list[dict[str, Any]]:
        """Return the entries of the index that a tag at B holds."""
        import json

        status, _, content = self.stored.manifest(self.destination, tag)
        assert status == 200
        entries: list[dict[str, Any]] = json.loads(content)["manifests"]
        return entries

    def digests(self, tag: str = "1") -> list[str]:
        """Return the digests of the entries of the index that a tag at B holds."""
        return [each["digest"] for each in self.entries(tag)]


@pytest.fixture(scope="session")
def client_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Share settings that do not wait long for a registry that does not answer."""
    return structs.replace(
        load_settings({}),
        state_dir=tmp_path_factory.mktemp("state"),
        registries=RegistryConfiguration(limits=HttpLimits(tries=3, longest_wait=0.05)),
    )


@pytest.fixture(scope="module")
def embedded(client_settings: Settings) -> Iterator[Client]:
    """Share one embedded client among the tests of a module."""
    with open_client(client_settings, jobs=4) as client:
        yield client


@pytest.fixture
def world(
    embedded: Client,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    name: str,
    client_settings: Settings,
) -> World:
    return World(embedded, registry_a, registry_b, name, client_settings)


def actions(report: PushReport) -> list[contract.Action]:
    """Return the actions of all tags, in order."""
    return [tag.action for item in report.items for tag in item.tags]
