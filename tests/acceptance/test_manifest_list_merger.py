"""The merger of pubtools-quay and the clients that it takes, on real registries."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tasks.manifest_list_merger import ManifestListMerger
from tasks.pubtools_errors import ManifestNotFoundError, ManifestTypeError
from tasks.pusher import ContainerImagePusher
from tasks.quay_client import QuayClient
from tests.support.images import Index, image, index, layer
from tests.support.registries import DistributionRegistry
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.support.stored import Stored, upload

PASSWORD = "geheim"


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMAGEPUSHER_STATE_DIR", str(tmp_path))


@pytest.fixture
def clients(registry_a: DistributionRegistry, registry_b: DistributionRegistry) -> tuple[QuayClient, QuayClient]:
    """Return the clients that a pusher has: anonymous registries let any user in."""
    pusher = ContainerImagePusher(
        [],
        {
            "quay_host": f"{registry_b.host}/",
            "source_quay_host": registry_a.host,
            "source_quay_user": "src",
            "source_quay_password": PASSWORD,
            "dest_quay_user": "dst",
            "dest_quay_password": PASSWORD,
        },
    )
    assert (pusher.quay_host, pusher.dest_quay_client.host) == (registry_b.host, registry_b.host)
    return pusher.src_quay_client, pusher.dest_quay_client


def built(name: str, *architectures: str) -> Index:
    return index(
        [image(f"linux/{each}", [layer(name + each, 300)], docker=True) for each in architectures], docker=True
    )


def architectures(document: dict[str, Any]) -> list[str]:
    return [entry["platform"]["architecture"] for entry in document["manifests"]]


def test_lists_are_merged_and_written(
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    clients: tuple[QuayClient, QuayClient],
    name: str,
) -> None:
    """Rule 3.2."""
    upload(registry_a.host, f"{name}/src", built(name, "amd64", "arm64"), "1")
    upload(registry_b.host, f"{name}/dst", built(f"{name}old", "amd64", "s390x"), "1")
    merger = ManifestListMerger(f"{registry_a.host}/{name}/src:1", f"{registry_b.host}/{name}/dst:1")
    with pytest.raises(RuntimeError, match="set_quay_clients"):
        merger.merge_manifest_lists()
    merger.set_quay_clients(*clients)
    assert merger.merge_manifest_lists().state == "succeeded"
    held = json.loads(Stored(registry_b.host).manifest(f"{name}/dst", "1")[2])
    assert sorted(architectures(held)) == ["amd64", "arm64", "s390x"]


def test_selected_architectures_are_merged_and_not_written(
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    clients: tuple[QuayClient, QuayClient],
    name: str,
) -> None:
    source, old = built(name, "amd64", "arm64"), built(f"{name}old", "arm64", "s390x")
    upload(registry_a.host, f"{name}/src", source, "1")
    there = f"{registry_b.host}/{name}/dst:1"
    merger = ManifestListMerger(
        f"{registry_a.host}/{name}/src:1", there, None, "src", PASSWORD, "dst", PASSWORD, registry_b.host
    )
    assert architectures(merger.merge_manifest_lists_selected_architectures(["amd64"])) == ["amd64"]
    upload(registry_b.host, f"{name}/dst", old, "1")
    merged = merger.merge_manifest_lists_selected_architectures(["amd64", "ppc64le"])
    assert architectures(merged) == ["amd64", "arm64", "s390x"]
    assert merged["manifests"][1]["digest"] == old.members[0].digest
    assert Stored(registry_b.host).digest(f"{name}/dst", "1") == old.digest
    assert architectures({"manifests": merger.get_missing_architectures(source.document, old.document)}) == ["s390x"]
    clients[1].upload_manifest(old.document, f"{registry_b.host}/{name}/dst:2")
    assert clients[1].get_manifest(f"{registry_b.host}/{name}/dst:2") == old.document


def test_clients_read_manifests_and_raise_as_requests_does(
    registry_b: DistributionRegistry, clients: tuple[QuayClient, QuayClient], name: str
) -> None:
    made = built(name, "amd64")
    upload(registry_b.host, f"{name}/app", made, "1")
    _, client = clients
    reference = f"{registry_b.host}/{name}/app:1"
    assert client.get_manifest(reference, media_type=QuayClient.MANIFEST_LIST_TYPE) == made.document
    assert client.get_manifest(reference, raw=True) == made.manifest.decode()
    list_type = QuayClient.MANIFEST_LIST_TYPE
    text, headers = client.get_manifest(reference, raw=True, media_type=list_type, return_headers=True)
    assert (text, headers["Content-Type"]) == (made.manifest.decode(), list_type)
    assert headers["docker-content-digest"] == headers["Docker-Content-Digest"] == made.digest
    assert client.get_manifest(reference, raw=True, return_headers=True) == made.manifest.decode()
    with pytest.raises(ValueError, match="neither a tag nor a digest"):
        client.get_manifest(f"{registry_b.host}/{name}/app")
    assert client.get_manifest_digest(reference) == made.digest
    assert json.loads(client.get_repository_tags(f"{name}/app", raw=True))["tags"] == ["1"]
    assert client.get_repository_tags(f"{name}/app") == {"name": f"{name}/app", "tags": ["1"]}
    with pytest.raises(requests.HTTPError) as absent:
        client.get_manifest(f"{registry_b.host}/{name}/gone:1")
    assert absent.value.response.status_code == 404
    with pytest.raises(ManifestNotFoundError) as unknown:
        client.get_manifest_digest(f"{registry_b.host}/{name}/gone:1")
    assert unknown.value.response.status_code == 404
    with pytest.raises(requests.HTTPError) as no_repository:
        client.get_repository_tags(f"{name}/gone")
    assert no_repository.value.response.status_code == 404


def test_a_client_asks_for_the_type_that_its_caller_wants(
    registry_b: DistributionRegistry, clients: tuple[QuayClient, QuayClient], name: str
) -> None:
    """What the registry makes of it is its own: one serves linux/amd64 in place of a list, others what they have."""
    made = built(name, "arm64", "amd64")
    upload(registry_b.host, f"{name}/app", made, "list")
    upload(registry_b.host, f"{name}/app", made.members[0], "image")
    _, client = clients
    reference, image_type = f"{registry_b.host}/{name}/app", QuayClient.MANIFEST_V2S2_TYPE
    assert client.get_manifest_digest(f"{reference}:list", image_type) == made.members[1].digest
    assert client.get_manifest_digest(f"{reference}:image", image_type) == made.members[0].digest
    served = Answer(headers={"Content-Type": image_type}, body=made.members[0].manifest)
    with ScriptedRegistry(Exchange("GET", "/v2/"), Exchange("GET", "/v2/a/app/manifests/1", served)) as registry:
        with pytest.raises(ManifestTypeError, match="is of the type"):
            client.get_manifest(f"{registry.host}/a/app:1", media_type=QuayClient.MANIFEST_LIST_TYPE)
        (_, asked) = registry.received
    assert asked.headers["Accept"] == QuayClient.MANIFEST_LIST_TYPE


def test_a_list_that_the_registry_refuses_is_an_http_error(
    registry_b: DistributionRegistry, clients: tuple[QuayClient, QuayClient], name: str
) -> None:
    with pytest.raises(requests.HTTPError) as refused:
        clients[1].upload_manifest(built(name, "amd64").document, f"{registry_b.host}/{name}/app:1")
    assert refused.value.response.status_code == 400
