"""Blobs between real registries: bytes that arrive though they are cut on the way, and mounts (BEHAVIOUR 5.1, 5.3)."""

from collections.abc import Iterable

import pytest

from tasks.errors import AuthenticationRefused, ContentMismatch, CopyIncomplete
from tasks.registry.settings import Credentials, RegistrySettings
from tests.conftest import MakeRegistry
from tests.integration.registry.clients import blobs_of, bring, client
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Image, image, layer
from tests.support.readers import MemoryReader
from tests.support.registries import DistributionRegistry, TokenAuth
from tests.support.stored import Stored, upload
from tests.support.token_server import TokenServer

MIB = 1 << 20


@pytest.fixture
def made(name: str, registry_a: DistributionRegistry) -> Image:
    """Return an image with one layer of a few MiB that is in the source registry."""
    image_of_one = image(layers=[layer(name, 3 * MIB)])
    upload(registry_a.host, name, image_of_one, "latest")
    return image_of_one


def layer_path(made: Image) -> str:
    return max(blobs_of(made), key=lambda blob: blob.size).digest


def cuts(kind: Kind, method: str, path: str, *places: float) -> Chosen:
    return Chosen(*(Fault(kind, method, path, nth=number, at=at) for number, at in enumerate(places, 1)))


@pytest.mark.parametrize("kind", [Kind.RESET_ANSWER, Kind.CUT])
def test_a_download_that_is_cut_many_times_goes_on_by_range(
    kind: Kind, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str, made: Image
) -> None:
    """8.3: more often than one tries without progress, and no byte comes twice."""
    plan = cuts(kind, "GET", layer_path(made), *[0.5] * 8)
    with FaultyProxy(registry_a.host, plan) as proxy:
        bring(client(proxy.host, name, role="source"), client(registry_b.host, name), made)
        assert len(proxy.injected) == 8
    assert Stored(registry_b.host).holds(name, "latest")
    statuses = [each.status for each in registry_a.requests() if each.path.endswith(layer_path(made))]
    assert statuses[-9:] == [200] + [206] * 8


def test_an_upload_that_is_cut_many_times_arrives(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str, made: Image
) -> None:
    """8.3: this registry keeps nothing of a cut upload; each new session starts again."""
    plan = cuts(Kind.RESET_REQUEST, "PUT", "/blobs/uploads/", 0.1, 0.5, 0.9)
    with FaultyProxy(registry_b.host, plan) as proxy:
        bring(client(registry_a.host, name, role="source"), client(proxy.host, name), made)
        assert len(proxy.injected) == 3
    assert Stored(registry_b.host).holds(name, "latest")


def test_both_ways_may_be_cut_at_once(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str, made: Image
) -> None:
    inward = cuts(Kind.RESET_ANSWER, "GET", layer_path(made), 0.3, 0.7, 0.2)
    outward = cuts(Kind.RESET_REQUEST, "PUT", "/blobs/uploads/", 0.6, 0.4)
    with FaultyProxy(registry_a.host, inward) as a, FaultyProxy(registry_b.host, outward) as b:
        bring(client(a.host, name, role="source"), client(b.host, name), made)
        assert (len(a.injected), len(b.injected)) == (3, 2)
    assert Stored(registry_b.host).holds(name, "latest")


def test_a_session_that_vanishes_is_replaced(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str, made: Image
) -> None:
    with FaultyProxy(registry_b.host, cuts(Kind.LOST_SESSION, "PUT", "/blobs/uploads/", 0.5)) as proxy:
        bring(client(registry_a.host, name, role="source"), client(proxy.host, name), made)
        assert len(proxy.injected) == 1
    assert Stored(registry_b.host).holds(name, "latest")


@pytest.mark.parametrize("kind", [Kind.RESET_ANSWER, Kind.DENIED])
def test_a_commit_that_was_stored_is_not_sent_again(
    kind: Kind, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str, made: Image
) -> None:
    """It is looked for first."""
    plan = Chosen(Fault(kind, "PUT", "/blobs/uploads/", times=2, at=0))
    with FaultyProxy(registry_b.host, plan) as proxy:
        bring(client(registry_a.host, name, role="source"), client(proxy.host, name), made)
        assert len(proxy.injected) == 2
    written = [each.method for each in registry_b.requests() if each.path.startswith(f"/v2/{name}/")]
    assert (written.count("PUT"), written.count("HEAD")) == (3, 3)


@pytest.mark.parametrize("kind", [Kind.FLIPPED, Kind.GROWN, Kind.TRUNCATED])
def test_a_spoilt_blob_is_never_committed(
    kind: Kind, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str, made: Image
) -> None:
    """5.3, 2.4."""
    plan = Chosen(Fault(kind, "GET", layer_path(made), times=10))
    with FaultyProxy(registry_a.host, plan) as proxy, pytest.raises(ContentMismatch):
        bring(client(proxy.host, name, role="source"), client(registry_b.host, name), made)
    assert Stored(registry_b.host).blob(name, layer_path(made))[0] == 404
    assert Stored(registry_b.host).digest(name, "latest") is None


def test_a_byte_that_is_flipped_on_the_way_out_is_refused_by_the_registry_and_sent_again(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str, made: Image
) -> None:
    """5.3."""
    with FaultyProxy(registry_b.host, cuts(Kind.FLIPPED_REQUEST, "PUT", "/blobs/uploads/", 0.5)) as proxy:
        bring(client(registry_a.host, name, role="source"), client(proxy.host, name), made)
        assert len(proxy.injected) == 1
    assert Stored(registry_b.host).holds(name, "latest")


def test_a_manifest_without_its_blobs_is_refused(registry_b: DistributionRegistry, name: str) -> None:
    """5.2."""
    lonely = image(layers=[layer(name, 1000)])
    with pytest.raises(CopyIncomplete):
        client(registry_b.host, name).push_manifest("latest", lonely.manifest, lonely.media_type)


def test_a_blob_is_mounted_from_a_repository_that_has_it(
    registry_a: DistributionRegistry, name: str, made: Image
) -> None:
    destination = client(registry_a.host, f"{name}/copy")
    for blob in blobs_of(made):
        assert destination.mount_blob(blob.digest, name) is None
    destination.push_manifest("latest", made.manifest, made.media_type)
    assert Stored(registry_a.host).holds(f"{name}/copy", "latest")


def not_private(user: str | None, repository: str, actions: frozenset[str]) -> Iterable[str]:
    return actions if user == "owner" or not repository.endswith("/private") else ()


def test_a_mount_needs_one_token_for_both_repositories(make_registry: MakeRegistry, name: str) -> None:
    """8.1: one that may not read the other repository is refused the mount, and uploads instead."""
    with TokenServer({"owner": "word", "user": "word"}, policy=not_private) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        made = image(layers=[layer(name, 1000)])
        for repository in ("shared", "private"):
            upload(registry.host, f"{name}/{repository}", made, auth=tokens.bearer("owner", f"{name}/{repository}"))
        settings = RegistrySettings(credentials=Credentials("user", "word"))
        destination = client(registry.host, f"{name}/to", settings)
        config, data = blobs_of(made)
        assert destination.mount_blob(config.digest, f"{name}/shared") is None
        assert set(tokens.asked[-1].scopes) == {f"repository:{name}/to:pull,push", f"repository:{name}/shared:pull"}
        with pytest.raises(AuthenticationRefused):
            destination.mount_blob(data.digest, f"{name}/private")
        destination.blob_upload(data, MemoryReader(made.blobs[data.digest]), lambda _: None).run()
        destination.push_manifest("latest", made.manifest, made.media_type)
        Stored(registry.host, auth=tokens.bearer("owner", f"{name}/to")).holds(f"{name}/to", "latest")
