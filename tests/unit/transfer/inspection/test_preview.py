"""What a push would do, read from real registries."""

import pytest

from tasks import contract
from tasks.oci.digest import Digest
from tasks.oci.reference import RepositoryName
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.inspection.preview import look_at_copies
from tasks.transfer.inspection.preview import preview as preview_plan
from tasks.transfer.plan.plan import Copy, Plan
from tests.support.images import Image, Node, image, index, layer
from tests.support.registries import DistributionRegistry
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.support.stored import upload
from tests.unit.registry.clients import QUICK


def preview(plan: Plan, registries: Registries) -> contract.Preview:
    return preview_plan(plan, look_at_copies(plan, registries))


@pytest.fixture
def registries() -> Registries:
    return Registries(RegistryConfiguration(limits=QUICK))


def made(name: str) -> Image:
    return image("linux/amd64", [layer(f"{name} one", 500), layer(f"{name} two", 600)])


def plan(node: Node, source: tuple[str, str], *destinations: tuple[str, str]) -> Plan:
    copy = Copy(
        digest=Digest(node.digest),
        media_type=node.media_type,
        size=len(node.manifest),
        source=RepositoryName(*source),
        destinations=[RepositoryName(*each) for each in destinations],
        platform="linux/amd64",
    )
    return Plan(push_id="p", created=0.0, items=[], copies=[copy], warnings=["said"])


def places(previewed: contract.Preview) -> list[contract.RepositoryPreview]:
    (copy,) = previewed.copies
    return copy.repositories


def size_of(node: Image) -> int:
    return sum(map(len, node.blobs.values()))


def test_the_first_repository_of_a_registry_gets_the_bytes_and_the_others_mount_them(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, registries: Registries, name: str
) -> None:
    """Rule 5.1."""
    node = made(name)
    upload(registry_a.host, name, node, "1")
    wanted = plan(node, (registry_a.host, name), (registry_b.host, f"{name}/x"), (registry_b.host, f"{name}/y"))
    previewed = preview(wanted, registries)
    assert previewed.warnings == ["said"]
    assert (previewed.copies[0].source, previewed.copies[0].platform) == (f"{registry_a.host}/{name}", "linux/amd64")
    assert places(previewed) == [
        contract.RepositoryPreview(
            repository=f"{registry_b.host}/{name}/x", blobs_copied=3, bytes_copied=size_of(node)
        ),
        contract.RepositoryPreview(repository=f"{registry_b.host}/{name}/y", blobs_mounted=3),
    ]


def test_within_a_registry_everything_is_mounted(
    registry_a: DistributionRegistry, registries: Registries, name: str
) -> None:
    """Rule 5.1."""
    node = made(name)
    upload(registry_a.host, name, node, "1")
    (place,) = places(preview(plan(node, (registry_a.host, name), (registry_a.host, f"{name}/x")), registries))
    assert (place.blobs_copied, place.blobs_mounted, place.bytes_copied) == (0, 3, 0)


def test_what_is_there_is_skipped(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, registries: Registries, name: str
) -> None:
    """Rule 5.1: blob by blob, or all at once where the manifest is there."""
    node = made(name)
    upload(registry_a.host, name, node, "1")
    upload(registry_b.host, f"{name}/part", image("linux/arm", [layer(f"{name} one", 500)]))
    upload(registry_b.host, f"{name}/whole", node)
    part, whole = places(
        preview(
            plan(node, (registry_a.host, name), (registry_b.host, f"{name}/part"), (registry_b.host, f"{name}/whole")),
            registries,
        )
    )
    assert (part.present, part.blobs_skipped, part.blobs_copied) == (False, 1, 2)
    assert (whole.present, whole.blobs_skipped, whole.blobs_copied) == (True, 3, 0)


def test_nested_indexes_are_looked_at_whole(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, registries: Registries, name: str
) -> None:
    """Rule 2.3."""
    node = index([index([made(name)]), image("linux/arm", [layer(f"{name} arm", 100)])])
    upload(registry_a.host, name, node, "1")
    (place,) = places(preview(plan(node, (registry_a.host, name), (registry_b.host, name)), registries))
    assert place.blobs_copied == 5


def test_a_source_that_is_gone_is_said_of_every_repository(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, registries: Registries, name: str
) -> None:
    """Rule 2.3."""
    wanted = plan(made(name), (registry_a.host, name), (registry_b.host, f"{name}/x"), (registry_b.host, f"{name}/y"))
    assert [(place.repository, place.error and place.error.code) for place in places(preview(wanted, registries))] == [
        (f"{registry_b.host}/{name}/x", "not_found"),
        (f"{registry_b.host}/{name}/y", "not_found"),
    ]


def test_a_destination_that_cannot_be_read_is_said_of_that_repository(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, registries: Registries, name: str
) -> None:
    """Rule 6.4."""
    node = made(name)
    upload(registry_a.host, name, node, "1")
    refused = Exchange("HEAD", f"/v2/{name}/manifests/{node.digest}", Answer(409))
    with ScriptedRegistry(Exchange("GET", "/v2/"), refused) as closed:
        wanted = plan(node, (registry_a.host, name), (closed.host, name), (registry_b.host, name))
        one, other = places(preview(wanted, registries))
    assert one.error is not None
    assert one.error.code == "request_refused"
    assert (other.error, other.blobs_copied) == (None, 3)
