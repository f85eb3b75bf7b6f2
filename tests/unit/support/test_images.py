import pytest

from tests.support.images import Node, artifact, attestation, entry, image, index, layer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload


def test_the_same_arguments_give_the_same_digest_and_others_do_not() -> None:
    assert image("linux/arm/v7", [layer(1, 500)]).digest == image("linux/arm/v7", [layer(1, 500)]).digest
    assert image("linux/arm/v7", [layer(1, 500)]).digest != image("linux/arm/v7", [layer(2, 500)]).digest


def test_an_entry_takes_fields_of_ones_own() -> None:
    made = index([entry(image(), platform={"os": "plan9"}, unheard="of")], fields={"mediaType": None})
    assert "mediaType" not in made.document
    assert made.document["manifests"][0]["platform"] == {"os": "plan9"}
    assert made.document["manifests"][0]["unheard"] == "of"


@pytest.mark.parametrize("docker", [True, False])
def test_a_registry_holds_to_the_byte_what_was_uploaded(
    registry_a: DistributionRegistry, name: str, *, docker: bool
) -> None:
    amd64, arm64 = (image(f"linux/{each}", [layer(each, 3000)], docker=docker) for each in ("amd64", "arm64"))
    nodes: list[Node] = [amd64, arm64]
    if not docker:
        nodes += [attestation(amd64), index([arm64, amd64])]
    made = index(nodes, docker=docker)
    assert upload(registry_a.host, name, made, "latest") == made.digest
    stored = Stored(registry_a.host)
    assert stored.manifest(name, "latest") == (200, made.media_type, made.manifest)
    assert stored.digest(name, "latest") == made.digest
    assert stored.tags(name) == ["latest"]
    expected = {each.digest for each in (made, *nodes)} | set(amd64.blobs) | set(arm64.blobs)
    assert stored.holds(name, "latest") >= expected
    for digest, content in amd64.blobs.items():
        assert stored.blob(name, digest) == (200, content)


def test_an_absent_repository_has_no_tags_and_no_digest(registry_a: DistributionRegistry, name: str) -> None:
    stored = Stored(registry_a.host)
    assert (stored.tags(name), stored.digest(name, "latest")) == ([], None)


def test_a_referrer_is_held_without_its_subject(registry_a: DistributionRegistry, name: str) -> None:
    referrer = artifact(b"a note", subject=image())
    upload(registry_a.host, name, referrer, "note")
    assert referrer.digest in Stored(registry_a.host).holds(name, "note")


@pytest.mark.parametrize("damage", ["missing", "corrupt", "short", "manifest"])
def test_what_is_not_whole_is_named(registry_a: DistributionRegistry, name: str, damage: str) -> None:
    made = image("linux/amd64", [layer(f"{name}-{damage}", 4000)])
    upload(registry_a.host, name, index([made]), "latest")
    digest = made.digest if damage == "manifest" else made.document["layers"][0]["digest"]
    algorithm, _, encoded = digest.partition(":")
    blobs = registry_a.storage / "docker/registry/v2/blobs"
    path = blobs / algorithm / encoded[:2] / encoded / "data"
    content = path.read_bytes()
    if damage in {"missing", "manifest"}:
        path.unlink()
    else:
        path.write_bytes(bytes(reversed(content)) if damage == "corrupt" else content[:-1])
    with pytest.raises(AssertionError, match=digest):
        Stored(registry_a.host).holds(name, "latest")


@pytest.mark.parametrize("what", ["blob", "manifest"])
def test_a_wrong_size_in_a_descriptor_is_named(registry_a: DistributionRegistry, name: str, what: str) -> None:
    made = image("linux/amd64", [layer(1, 100)])
    node: Node = index([entry(made, size=len(made.manifest) + 1)])
    if what == "blob":
        described = made.document["layers"][0]
        node = image("linux/amd64", [layer(1, 100)], fields={"layers": [described | {"size": described["size"] - 1}]})
    upload(registry_a.host, name, node, "latest")
    with pytest.raises(AssertionError, match=f"size of {what}"):
        Stored(registry_a.host).holds(name, "latest")
