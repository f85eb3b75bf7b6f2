"""What a push would do, and whether what it did still stands: read from real registries."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tasks import contract
from tasks.oci.digest import digest_of
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.plan import Copy, Plan
from tasks.transfer.preview import preview
from tasks.transfer.verify import verify
from tests.support import images
from tests.support.images import Image, Node, image, index, layer
from tests.support.registries import DistributionRegistry
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.support.stored import upload
from tests.unit.registry.clients import QUICK


@pytest.fixture
def registries() -> Registries:
    return Registries(RegistryConfiguration(limits=QUICK))


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as running:
        yield running


def made(name: str) -> Image:
    return image("linux/amd64", [layer(f"{name} one", 500), layer(f"{name} two", 600)])


def plan(node: Node, source: tuple[str, str], *destinations: tuple[str, str]) -> Plan:
    copy = Copy(
        digest=node.digest,
        media_type=node.media_type,
        size=len(node.manifest),
        source=source,
        destinations=list(destinations),
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
    refused = Exchange("HEAD", f"/v2/{name}/manifests/{node.digest}", Answer(403))
    with ScriptedRegistry(Exchange("GET", "/v2/"), refused) as closed:
        wanted = plan(node, (registry_a.host, name), (closed.host, name), (registry_b.host, name))
        one, other = places(preview(wanted, registries))
    assert one.error is not None
    assert one.error.code == "authentication_refused"
    assert (other.error, other.blobs_copied) == (None, 3)


def reported(host: str, name: str, digest: str, action: contract.Action = "copied") -> contract.PushReport:
    tag = contract.TagReport(reference=f"{host}/{name}:1", action=action, new_digest=digest)
    item = contract.ItemReport(source="x", tags=[tag])
    return contract.PushReport(push_id="p", state="succeeded", items=[item], totals=contract.Totals())


def verified(found: contract.Verification) -> tuple[Any, ...]:
    (tag,) = found.tags
    return found.state, tag.found_digest, tag.missing, tag.error and tag.error.code


def test_a_tag_with_all_that_it_needs_is_verified(
    registry_b: DistributionRegistry, registries: Registries, executor: Executor, name: str
) -> None:
    """Rule 6.1: the report is true to what B holds, nested and shared parts included."""
    inner = made(name)
    node = index([inner, index([inner])])
    upload(registry_b.host, name, node, "1")
    report = reported(registry_b.host, name, node.digest)
    assert verified(verify(report, registries, executor)) == ("verified", node.digest, [], None)


@pytest.mark.parametrize("action", ["failed", "skipped"])
def test_a_tag_that_the_push_did_not_move_is_not_looked_at(
    registries: Registries, executor: Executor, action: contract.Action
) -> None:
    found = verify(reported("127.0.0.1:1", "app", "x", action), registries, executor)
    assert (found.state, found.tags) == ("verified", [])


def test_a_tag_that_is_gone_or_another_is_broken(
    registry_b: DistributionRegistry, registries: Registries, executor: Executor, name: str
) -> None:
    node = made(name)
    expected = digest_of(b"expected")
    report = reported(registry_b.host, name, expected)
    assert verified(verify(report, registries, executor)) == ("broken", None, [], None)
    upload(registry_b.host, name, node, "1")
    assert verified(verify(report, registries, executor)) == ("broken", node.digest, [], None)


def test_children_and_blobs_that_are_gone_are_named(
    registry_b: DistributionRegistry, registries: Registries, executor: Executor, name: str
) -> None:
    """Rule 5.2."""
    whole, lost = made(name), image("linux/arm", [layer(f"{name} arm", 100)])
    node = index([whole, lost])
    upload(registry_b.host, name, node, "1")
    blob = next(iter(whole.blobs))
    for part in (f"manifests/{lost.digest}", f"blobs/{blob}"):
        requests.delete(f"{registry_b.url}/v2/{name}/{part}", timeout=10).raise_for_status()
    found = verify(reported(registry_b.host, name, node.digest), registries, executor)
    assert verified(found) == ("broken", node.digest, [blob, lost.digest], None)


def test_a_registry_that_refuses_is_an_error_of_the_tag(registries: Registries, executor: Executor) -> None:
    refused = Exchange("HEAD", "/v2/app/manifests/1", Answer(403))
    with ScriptedRegistry(Exchange("GET", "/v2/"), refused) as closed:
        found = verify(reported(closed.host, "app", digest_of(b"x")), registries, executor)
    assert verified(found) == ("broken", None, [], "authentication_refused")


def test_a_manifest_of_another_kind_is_an_error_of_the_tag(registries: Registries, executor: Executor) -> None:
    content = images.encode({"mediaType": "application/vnd.example", "odd": True})
    headers = {"Content-Type": images.OCI_MANIFEST, "Docker-Content-Digest": images.digest_of(content)}
    with ScriptedRegistry(
        Exchange("GET", "/v2/"),
        Exchange("HEAD", "/v2/app/manifests/1", Answer(headers=headers | {"Content-Length": str(len(content))})),
        Exchange("GET", f"/v2/app/manifests/{images.digest_of(content)}", Answer(headers=headers, body=content)),
    ) as odd:
        found = verify(reported(odd.host, "app", images.digest_of(content)), registries, executor)
    assert verified(found) == ("broken", None, [], "manifest_invalid")
