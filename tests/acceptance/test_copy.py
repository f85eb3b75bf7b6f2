"""BEHAVIOUR section 5 on two real registries, and what other clients make of the result."""

import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tasks.registry.settings import Credentials, RegistrySettings
from tests.acceptance.conftest import World, actions
from tests.conftest import MakeRegistry
from tests.support import images, processes
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Image, Index, Node, attestation, image, index, layer
from tests.support.registries import BasicAuth, Logged
from tests.support.stored import Stored, upload


def multi_arch(seed: str, *platforms: str, docker: bool = False) -> Index:
    chosen = platforms or ("linux/amd64", "linux/arm64")
    return index(
        [image(each, [layer(f"copy {seed} {each}", 700)], docker=docker) for each in chosen],
        docker=docker,
    )


def blobs_of(node: Node) -> dict[str, bytes]:
    if isinstance(node, Image):
        return dict(node.blobs)
    return {digest: content for member in node.members for digest, content in blobs_of(member).items()}


def writes(world: World, repository: str) -> list[Logged]:
    """Return the requests that put something into a repository of B, in their order."""
    return [
        request
        for request in world.b.requests()
        if request.path.startswith(f"/v2/{repository}/") and request.method in {"PUT", "POST", "PATCH"}
    ]


def skopeo(*arguments: str) -> str:
    """Run skopeo as any user would, and return what it prints."""
    program = processes.find_program("skopeo", "skopeo")
    done = subprocess.run(
        [program, "--insecure-policy", *arguments], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_image_that_is_there_is_not_sent_again(world: World) -> None:
    """Rules 5.1 and 6.5: what is there is skipped, and a repeat in another repository mounts."""
    source = multi_arch(world.name)
    reference = world.put_a(source)
    first = world.push(world.item(reference, "1"))
    assert (first.totals.blobs_copied, first.totals.bytes_copied) == (4, sum(map(len, blobs_of(source).values())))
    second = world.push(world.item(reference, "2"))
    assert actions(second) == ["copied"]
    assert (second.totals.blobs_copied, second.totals.blobs_mounted, second.totals.bytes_copied) == (0, 0, 0)
    elsewhere = f"{world.name}/elsewhere"
    third = world.push({"source": reference, "destinations": {f"{world.b.host}/{elsewhere}": ["1"]}})
    assert (third.totals.blobs_copied, third.totals.blobs_mounted, third.totals.bytes_copied) == (0, 4, 0)
    world.stored.holds(elsewhere, "1")


@pytest.mark.parametrize(("there", "asked"), [(None, 2), (0, 5), (2, 2), (4, 5)])
def test_what_many_repositories_lack_is_looked_for_in_two(world: World, there: int | None, asked: int) -> None:
    """Rule 5.1: one that has it all the same mounts it and gets no byte."""
    names = [f"{world.name}/dst{number}" for number in range(5)]
    source = multi_arch(world.name, "linux/amd64")
    if there is not None:
        world.put_b(source, "old", names[there])
    destinations = {f"{world.b.host}/{name}": ["1"] for name in names}
    report = world.push({"source": world.put_a(source), "destinations": destinations})
    assert [tag.action for tag in report.items[0].tags] == ["copied"] * 5
    assert report.totals.blobs_copied <= 2
    child = source.members[0].digest
    looks = [
        request.path
        for request in world.b.requests()
        if request.method == "HEAD" and request.path in {f"/v2/{name}/manifests/{child}" for name in names}
    ]
    # All of them are looked at once more right before their tags move.
    assert len(looks) == asked + len(names)
    for name in names:
        world.stored.holds(name, "1")


def test_an_unchanged_tag_costs_no_write(world: World) -> None:
    """Rule 4.6."""
    reference = world.put_a(multi_arch(world.name))
    world.push(world.item(reference, "1", "2"))
    before = len(writes(world, world.destination))
    report = world.push(world.item(reference, "1", "2"))
    assert actions(report) == ["unchanged", "unchanged"]
    assert len(writes(world, world.destination)) == before
    assert report.totals.bytes_copied == report.totals.manifests_copied == 0


def test_within_one_registry_everything_is_mounted(world: World) -> None:
    """Rule 5.1."""
    source = multi_arch(world.name)
    report = world.push({"source": world.put_a(source), "destinations": {f"{world.a.host}/{world.name}/there": ["1"]}})
    assert (report.totals.blobs_copied, report.totals.blobs_mounted) == (0, 4)
    Stored(world.a.host).holds(f"{world.name}/there", "1")


@pytest.mark.parametrize("docker", [True, False])
def test_children_come_before_the_index_and_tags_last(world: World, docker: bool) -> None:
    """Rule 5.2: blobs before their manifest, manifests before the index that names them."""
    source = multi_arch(world.name, docker=docker)
    nested = source if docker else index([source, *source.members])
    world.push(world.item(world.put_a(nested), "1", "2"))
    # The last request of an upload names the digest; a monolithic one is a single POST or PUT.
    done = [
        f"blob {request.query.rpartition('digest=')[2].replace('%3A', ':')}"
        if "/blobs/" in request.path
        else f"manifest {request.path.rpartition('/')[2]}"
        for request in writes(world, world.destination)
        if request.status == 201
    ]
    place = {what: position for position, what in reversed(list(enumerate(done)))}
    assert {done[-1], done[-2]} == {"manifest 1", "manifest 2"}
    for child in source.members:
        assert isinstance(child, Image)
        assert place[f"manifest {child.digest}"] < place["manifest 1"]
        for digest in child.blobs:
            assert place[f"blob {digest}"] < place[f"manifest {child.digest}"]
    if not docker:
        assert place[f"manifest {source.digest}"] < place["manifest 1"]


def test_two_items_that_share_layers_move_them_once(world: World) -> None:
    """Rules 5.1 and 5.4: one image under two tags, and another image on the same base."""
    base = layer(f"base {world.name}", 5000)
    one = index([image("linux/amd64", [base, layer(f"one {world.name}", 10)])])
    two = index([image("linux/amd64", [base, layer(f"two {world.name}", 10)])])
    report = world.push(
        world.item(world.put_a(one, "1"), "1"),
        world.item(world.put_a(one, "1"), "2"),
        world.item(world.put_a(two, "2"), "3"),
    )
    assert actions(report) == ["copied"] * 3
    moved = {digest: content for node in (one, two) for digest, content in blobs_of(node).items()}
    assert report.totals.bytes_copied == sum(map(len, moved.values()))
    for tag in ("1", "2", "3"):
        world.stored.holds(world.destination, tag)


def test_two_pushes_at_once_that_need_the_same_blobs_move_them_once(world: World) -> None:
    """Rule 5.4: one moves the bytes, the other waits and mounts."""
    source = index([image("linux/amd64", [layer(f"big {world.name} {number}", 2_000_000) for number in range(3)])])
    reference = world.put_a(source)
    repositories = [f"{world.name}/at-once-{number}" for number in range(4)]
    pushes = {}
    for repository in repositories:
        pushes[repository] = str(uuid.uuid4())
        item = {"source": reference, "destinations": {f"{world.b.host}/{repository}": ["1"]}}
        world.client.send({"items": [item]}, pushes[repository])
    totals = [world.client.wait(push_id).totals for push_id in pushes.values()]
    assert sum(each.bytes_copied for each in totals) == sum(map(len, blobs_of(source).values()))
    assert sum(each.blobs_copied for each in totals) == 4
    for repository in repositories:
        world.stored.holds(repository, "1")


def test_what_the_registry_collected_is_copied_again(world: World) -> None:
    """Rule 5.5: a child that is gone though another tag names it."""
    source = multi_arch(world.name)
    reference = world.put_a(source)
    world.push(world.item(reference, "1"))
    _delete(world, f"manifests/{source.members[1].digest}")
    assert actions(world.push(world.item(reference, "2"))) == ["copied"]
    world.stored.holds(world.destination, "2")


class _Collector:
    """Lets a registry collect a manifest right before the tag that needs it is written."""

    def __init__(self, tag: str, collect: Callable[[], None]) -> None:
        self._tag = tag
        self._collect = collect
        self.done = False

    def choose(self, method: str, target: str, *, authorized: bool) -> None:
        if method == "PUT" and target.endswith(f"/manifests/{self._tag}") and not self.done:
            self.done = True
            self._collect()


def test_what_the_registry_collects_between_the_last_look_and_the_write_is_copied_again(world: World) -> None:
    """Rule 5.5."""
    source = multi_arch(world.name)
    reference = world.put_a(source)
    collector = _Collector("1", lambda: _delete(world, f"manifests/{source.members[1].digest}"))
    with FaultyProxy(world.b.host, collector) as proxy:
        item = {"source": reference, "destinations": {f"{proxy.host}/{world.destination}": ["1"]}}
        assert actions(world.push(item)) == ["copied"]
    assert collector.done
    world.stored.holds(world.destination, "1")


def test_layers_that_lie_elsewhere_are_not_copied(world: World, make_registry: MakeRegistry) -> None:
    """Rule 5.1: a foreign layer stays where its urls say (image-spec layer.md)."""
    allowed = make_registry(allow_urls=("^https://layers.example/",))
    foreign = layer(f"foreign {world.name}", 400, urls=["https://layers.example/one"])
    windows = {"architecture": "amd64", "os": "windows", "os.version": "10.0.17763.1"}
    source = index([image(windows, [foreign, layer(f"own {world.name}", 300)], docker=True)], docker=True)
    upload(allowed.host, world.source, source, "1")
    there = f"{allowed.host}/{world.name}/there"
    report = world.push({"source": f"{allowed.host}/{world.source}:1", "destinations": {there: ["1"]}})
    assert actions(report) == ["copied"]
    stored = Stored(allowed.host)
    stored.holds(f"{world.name}/there", "1")
    assert stored.blob(f"{world.name}/there", foreign.digest)[0] == 404


def test_an_image_without_layers_and_one_with_the_same_layer_twice_are_copied(world: World) -> None:
    """Rule 5.1: successors are what the manifest names, each once."""
    twice = layer(f"twice {world.name}", 100)
    source = index([image("linux/amd64", []), image("linux/arm64", [twice, twice])])
    assert actions(world.push(world.item(world.put_a(source)))) == ["copied"]
    world.stored.holds(world.destination, "1")


def test_an_entry_of_a_type_that_nobody_knows_is_copied_as_its_content_says(world: World) -> None:
    """Rule 2.4: an index may name any media type (image-spec image-index.md)."""
    odd = images.entry(image("linux/amd64"), mediaType="application/vnd.example.unheard+json")
    source = index([odd, image("linux/arm64")])
    assert world.push_one(world.put_a(source)).new_digest == source.digest
    world.stored.holds(world.destination, "1")


@pytest.mark.parametrize("same", [True, False], ids=["one registry", "two registries"])
def test_one_registry_may_want_different_credentials_for_source_and_destination(
    world: World, make_registry: MakeRegistry, same: bool
) -> None:
    """Rule 8.1."""
    reader, writer = Credentials("reader", "read"), Credentials("writer", "write")
    source = multi_arch(world.name)
    first = make_registry(auth=BasicAuth({"reader": "read", "writer": "write"}))
    second = first if same else make_registry(auth=BasicAuth({"writer": "write"}))
    for registry in (first, second):
        world.registries[registry.host] = RegistrySettings(source_credentials=reader, destination_credentials=writer)
    upload(first.host, world.source, source, "1", auth=("reader", "read"))
    item = {
        "source": f"{first.host}/{world.source}:1",
        "destinations": {f"{second.host}/{world.destination}": ["1"]},
    }
    assert actions(world.push(item)) == ["copied"]
    Stored(second.host, auth=("writer", "write")).holds(world.destination, "1")


def source_and_old(kind: str, seed: str) -> tuple[Node, Index | None, dict[str, Any]]:
    """Return a source, what the tag holds before, and the options of the item."""
    amd64, s390x = (image(each, [layer(f"{seed} {each}", 500)]) for each in ("linux/amd64", "linux/s390x"))
    made: dict[str, tuple[Node, Index | None, dict[str, Any]]] = {
        "copied index": (multi_arch(seed), None, {}),
        "merged index": (index([amd64, attestation(amd64)]), index([s390x, attestation(s390x)]), {}),
        "docker list": (multi_arch(seed, docker=True), None, {}),
        "merged docker list": (multi_arch(seed, docker=True), multi_arch(seed, "linux/s390x", docker=True), {}),
        "source image": (images.source_image(seed), multi_arch(seed, "linux/s390x"), {"kind": "source"}),
        "single-arch image": (image("linux/arm64", [layer(seed, 500)]), multi_arch(seed, "linux/s390x"), {}),
    }
    return made[kind]


KINDS = ("copied index", "merged index", "docker list", "merged docker list", "source image", "single-arch image")


@pytest.mark.parametrize("kind", KINDS)
def test_skopeo_reads_and_copies_what_was_pushed(world: World, kind: str, tmp_path: Path) -> None:
    """Rules 2.2, 3.1, 3.2 and 4.5: any client takes the result, byte for byte."""
    source, old, options = source_and_old(kind, world.name)
    if old is not None:
        world.put_b(old)
    tag = world.push_one(world.put_a(source), **options)
    assert tag.action == ("merged" if "merged" in kind or kind == "single-arch image" else "copied")
    reference = f"docker://{world.b.host}/{world.destination}:1"
    _, media_type, content = world.stored.manifest(world.destination, "1")
    assert skopeo("inspect", "--raw", "--tls-verify=false", reference).encode() == content
    assert json.loads(content)["mediaType"] == media_type
    # To another repository with all that belongs to it, and into a folder as one image.
    copied = f"docker://{world.a.host}/{world.name}/skopeo:1"
    insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
    skopeo("copy", "--all", "--preserve-digests", *insecure, reference, copied)
    stored = Stored(world.a.host)
    assert stored.manifest(f"{world.name}/skopeo", "1") == (200, media_type, content)
    assert stored.holds(f"{world.name}/skopeo", "1") == world.stored.holds(world.destination, "1")
    platform = ("--override-arch=s390x",) if "merged" in kind or kind == "single-arch image" else ()
    skopeo(*platform, "copy", "--src-tls-verify=false", reference, f"dir:{tmp_path / 'image'}")
    config = json.loads(skopeo(*platform, "inspect", "--config", "--tls-verify=false", reference))
    assert config["architecture"] == ("s390x" if platform else "amd64")


def test_skopeo_finds_the_protective_tag(world: World) -> None:
    """Rule 4.8."""
    source, old, _ = source_and_old("merged index", world.name)
    assert old is not None
    world.put_b(old)
    tag = world.push_one(world.put_a(source))
    listed = json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{world.b.host}/{world.destination}"))
    assert set(listed["Tags"]) == {"1", tag.protective_tag}


def test_a_name_that_somebody_else_uses_is_not_taken_for_a_protective_tag(world: World) -> None:
    """T15: what the tag of that name held stays, also after an undo."""
    source, old, _ = source_and_old("merged index", world.name)
    assert old is not None
    world.put_b(old)
    reference = world.put_a(source)
    first = world.push_one(reference)
    assert first.protective_tag is not None
    _delete(world, f"manifests/{first.new_digest}")
    world.put_b(old)
    theirs = image("linux/arm64")
    upload(world.b.host, world.destination, theirs, first.protective_tag)
    report = world.push(world.item(reference, "1"))
    tag = report.items[0].tags[0]
    assert tag.protective_tag not in {None, first.protective_tag}
    assert world.stored.digest(world.destination, first.protective_tag) == theirs.digest
    world.client.undo(report.push_id)
    assert world.stored.digest(world.destination, first.protective_tag) == theirs.digest
    assert world.stored.digest(world.destination, tag.protective_tag) is None


def test_an_unchanged_tag_costs_one_request_and_verify_finds_what_its_index_lost(world: World) -> None:
    """Rules 3.1 and 4.6: what a registry lost below a right tag is for `verify` to find, not for every push."""
    source = multi_arch(world.name)
    reference = world.put_a(source)
    push_id = world.push(world.item(reference, "1")).push_id
    child = source.members[0]
    assert isinstance(child, Image)
    _delete(world, f"manifests/{child.digest}")
    before = len(world.b.requests())
    assert actions(world.push(world.item(reference, "1"))) == ["unchanged"]
    assert [(each.method, each.path) for each in world.b.requests()[before:]] == [
        ("HEAD", f"/v2/{world.destination}/manifests/1")
    ]
    (tag,) = world.client.verify(push_id).tags
    assert tag.missing == [child.digest]


def _delete(world: World, path: str) -> None:
    requests.delete(f"{world.b.url}/v2/{world.destination}/{path}", timeout=10).raise_for_status()
