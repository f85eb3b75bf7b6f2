"""What is put back, what is deleted and what is left, at a registry that can only delete digests (BEHAVIOUR 6.6)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks import contract
from tasks.coordination.local.in_process import KeyLocks
from tasks.coordination.local.tag_locks import FileTagLocks
from tasks.oci.digest import Digest
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.ports import TagIntent, TagLocks
from tasks.transfer.undo.undo import undo
from tests.support import images
from tests.support.images import Image, Node, image, index, layer
from tests.support.registries import DistributionRegistry
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.support.stored import Stored, upload
from tests.unit.registry.clients import QUICK


class Repository:
    """One repository of a real registry, and what pushes noted of its tags."""

    def __init__(self, host: str, name: str, locks: TagLocks) -> None:
        self.host, self.name = host, name
        self.stored = Stored(host)
        self.locks = locks
        self.intents: dict[str, TagIntent] = {}

    def reference(self, tag: str) -> str:
        return f"{self.host}/{self.name}:{tag}"

    def put(self, tag: str, node: Node) -> str:
        """Let someone else write a tag."""
        return upload(self.host, self.name, node, tag)

    def push(self, tag: str, node: Node, old: str | None = None, **more: Any) -> None:
        """Write a tag as the push does that is undone later."""
        self.put(tag, node)
        self.intents[self.reference(tag)] = TagIntent(
            action="copied", old_digest=Digest(old) if old else None, new_digest=Digest(node.digest), **more
        )

    def undo(self) -> dict[str, str]:
        """Undo and return for each tag the action, or the message of the error."""
        return undone(self.intents, self.locks)

    def tags(self) -> dict[str, str | None]:
        """Return what each tag holds, after all that it needs was found there."""
        for tag in self.stored.tags(self.name):
            self.stored.holds(self.name, tag)
        return {tag: self.stored.digest(self.name, tag) for tag in self.stored.tags(self.name)}


def undone(intents: Mapping[str, TagIntent], locks: TagLocks) -> dict[str, str]:
    found = undo("p", intents, Registries(RegistryConfiguration(limits=QUICK)), locks)
    return {tag.reference.rpartition(":")[2]: _said(tag) for tag in found.tags}


def _said(tag: contract.TagUndo) -> str:
    return tag.action if tag.action != "failed" or tag.error is None else f"{tag.error.code}: {tag.error.message}"


@pytest.fixture
def locks(tmp_path: Path) -> TagLocks:
    return FileTagLocks(tmp_path, KeyLocks(), 0.01)


@pytest.fixture
def repository(registry_b: DistributionRegistry, name: str, locks: TagLocks) -> Repository:
    return Repository(registry_b.host, name, locks)


@pytest.fixture
def child(name: str) -> Image:
    return image("linux/amd64", [layer(f"{name} amd64", 300)])


@pytest.fixture
def sibling(name: str) -> Image:
    return image("linux/arm64", [layer(f"{name} arm64", 300)])


@pytest.mark.parametrize("docker", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_what_the_index_of_another_tag_names_is_not_deleted(
    repository: Repository, name: str, *, docker: bool, depth: int
) -> None:
    """Rules 5.2 and 6.6: nested indexes too."""
    alone = image("linux/amd64", [layer(f"{name} amd64", 300)], docker=docker)
    node = index([alone], docker=docker)
    for _ in range(depth - 1):
        node = index([node])
    repository.put("latest", node)
    repository.put("unrelated", image("linux/s390x"))
    repository.push("1-amd64", alone)
    before = repository.tags()
    said = repository.undo()["1-amd64"]
    assert said.startswith("request_refused: ")
    assert f"{alone.digest}, which it would delete in place of 1-amd64, is needed by latest." in said
    assert "Delete it by the registry's own means." in said
    assert repository.tags() == before


def test_what_another_tag_is_is_not_deleted(repository: Repository, child: Image) -> None:
    """Rule 6.6."""
    repository.put("theirs", child)
    repository.push("mine", child)
    assert "is needed by theirs." in repository.undo()["mine"]
    assert repository.tags().keys() == {"mine", "theirs"}


def test_what_a_tag_needs_that_was_restored_just_now_is_not_deleted(
    repository: Repository, child: Image, sibling: Image
) -> None:
    """Rules 5.2 and 6.6."""
    old = index([child])
    repository.put("1", old)
    repository.push("1", index([sibling]), old.digest)
    repository.push("new", child)
    said = repository.undo()
    assert said["1"] == "restored"
    assert "is needed by 1." in said["new"]
    assert repository.tags() == {"1": old.digest, "new": child.digest}


@pytest.mark.parametrize("last", ["moved", "new"])
def test_what_a_tag_of_the_push_needs_that_someone_else_has_moved_is_not_deleted(
    repository: Repository, child: Image, sibling: Image, last: str
) -> None:
    """Rules 5.2 and 6.6: such a tag stays, as new as it was."""
    for tag, node in sorted({"moved": sibling, "new": child}.items(), reverse=last == "moved"):
        repository.push(tag, node)
    theirs = repository.put("moved", index([child]))
    said = repository.undo()
    assert said["moved"] == "moved"
    assert "is needed by moved." in said["new"]
    assert repository.tags() == {"moved": theirs, "new": child.digest}


@pytest.mark.parametrize("first", ["child", "index"])
def test_an_index_and_what_it_names_are_both_deleted_if_both_are_new(
    repository: Repository, child: Image, sibling: Image, first: str
) -> None:
    """Rule 6.6."""
    nodes: dict[str, Node] = {"child": child, "index": index([child, sibling]), "nested": index([index([child])])}
    for tag in (first, *(nodes.keys() - {first})):
        repository.push(tag, nodes[tag])
    assert set(repository.undo().values()) == {"deleted"}
    assert repository.tags() == {}
    assert set(repository.undo().values()) == {"deleted"}


@pytest.mark.parametrize("first", ["child", "index"])
def test_what_a_new_index_names_that_cannot_be_deleted_stays_with_it(
    repository: Repository, child: Image, sibling: Image, first: str
) -> None:
    """Rule 5.2."""
    nodes: dict[str, Node] = {"child": child, "index": index([child, sibling])}
    for tag in (first, *(nodes.keys() - {first})):
        repository.push(tag, nodes[tag])
    with repository.locks.hold(repository.reference("index")):
        said = repository.undo()
    assert said["index"].startswith("lock_unavailable: ")
    assert "is needed by index." in said["child"]
    assert repository.tags() == {tag: node.digest for tag, node in nodes.items()}
    assert set(repository.undo().values()) == {"deleted"}
    assert repository.tags() == {}


def test_each_index_is_read_once(repository: Repository, registry_b: DistributionRegistry, name: str) -> None:
    """Rule 6.6: however many tags are deleted, and whatever else shares what they need."""
    shared = index([image("linux/s390x", [layer(f"{name} s390x", 300)])])
    for number in range(3):
        repository.put(f"theirs-{number}", index([shared, image(f"linux/arm/v{number + 5}")]))
        repository.push(f"mine-{number}", image("linux/amd64", [layer(f"{name} {number}", 300)]))
    seen = len(registry_b.requests())
    assert set(repository.undo().values()) == {"deleted"}
    asked = [
        each for each in registry_b.requests()[seen:] if each.method == "GET" and f"/{name}/manifests/" in each.path
    ]
    assert len(asked) == len(set(asked)) == 3 + 3 + 1


def protected(repository: Repository, tag: str, node: Node, old: str | None) -> None:
    """Push a merge, after another one that was overtaken."""
    overtaken = index([image("linux/386", [layer(f"{repository.name} overtaken", 300)])])
    repository.put(f"{tag}.new", node)
    repository.put(f"{tag}.overtaken", overtaken)
    repository.push(
        tag,
        node,
        old,
        protective_tag=f"{tag}.new",
        protective_tag_created=True,
        overtaken={f"{tag}.overtaken": overtaken.digest},
    )


@pytest.mark.parametrize("was", ["absent", "an index"])
def test_the_protective_tags_of_a_tag_that_is_put_back_go(
    repository: Repository, child: Image, sibling: Image, was: str
) -> None:
    """Rules 4.8 and 6.6."""
    old = None if was == "absent" else repository.put("1", index([child]))
    protected(repository, "1", index([child, sibling]), old)
    assert set(repository.undo().values()) <= {"deleted", "restored"}
    assert repository.tags() == ({} if old is None else {"1": old})


@pytest.mark.parametrize("was", ["absent", "an index"])
def test_the_protective_tags_of_a_tag_that_is_left_alone_stay(
    repository: Repository, child: Image, sibling: Image, was: str
) -> None:
    """Rules 4.8 and 6.6: whoever moved the tag may want to put back what was merged."""
    old = None if was == "absent" else repository.put("1", index([child]))
    protected(repository, "1", index([child, sibling]), old)
    repository.push("child", child)
    theirs = repository.put("1", sibling)
    before = repository.tags()
    said = repository.undo()
    assert said["1"] == "moved"
    assert "is needed by 1.new." in said["child"]
    assert repository.tags() == before
    assert before["1"] == theirs


def called_manifest(content: bytes) -> Answer:
    headers = {"Content-Type": images.OCI_MANIFEST, "Docker-Content-Digest": images.digest_of(content)}
    return Answer(headers=headers | {"Content-Length": str(len(content))}, body=content)


@pytest.mark.parametrize(("whole", "message"), [(False, "cannot be told: "), (True, "is needed by odd.")])
def test_a_tag_that_stays_is_judged_by_its_content(child: Image, *, whole: bool, message: str, locks: TagLocks) -> None:
    """Rules 5.2 and 6.6: what nobody can read may need anything, and HEAD may be wrong."""
    entry = child.descriptor() if whole else {"digest": "odd", "size": 1}
    # An index need not say that it is one.
    content = images.encode({"schemaVersion": 2, "manifests": [entry]})
    digest = images.digest_of(content)
    with ScriptedRegistry(
        Exchange("GET", "/v2/"),
        Exchange("GET", f"/v2/app/manifests/{child.digest}", called_manifest(child.manifest)),
        Exchange("HEAD", "/v2/app/manifests/mine", called_manifest(child.manifest)),
        Exchange("DELETE", "/v2/app/manifests/mine", Answer(405)),
        Exchange("GET", "/v2/app/tags/list", Answer(body=json.dumps({"name": "app", "tags": ["odd"]}).encode())),
        Exchange("HEAD", "/v2/app/manifests/odd", called_manifest(content)),
        Exchange("GET", f"/v2/app/manifests/{digest}", called_manifest(content)),
    ) as odd:
        intent = TagIntent(action="copied", old_digest=None, new_digest=Digest(child.digest))
        said = undone({f"{odd.host}/app:mine": intent}, locks)["mine"]
    assert said.startswith("request_refused: ")
    assert message in said


def test_an_undo_says_that_a_registry_deletes_nothing(child: Image, locks: TagLocks) -> None:
    """Rule 6.8: what olareg, and Distribution without `delete.enabled`, say to it."""
    words = b'{"errors": [{"code": "UNSUPPORTED", "message": "the operation is unsupported"}]}'
    refused = Answer(405, {"Content-Type": "application/json"}, words)
    with ScriptedRegistry(
        Exchange("GET", "/v2/"),
        Exchange("GET", f"/v2/app/manifests/{child.digest}", called_manifest(child.manifest)),
        Exchange("HEAD", "/v2/app/manifests/mine", called_manifest(child.manifest)),
        Exchange("DELETE", "/v2/app/manifests/mine", refused),
        Exchange("GET", "/v2/app/tags/list", Answer(body=b'{"name": "app", "tags": []}')),
        Exchange("DELETE", f"/v2/app/manifests/{child.digest}", refused),
    ) as stubborn:
        intent = TagIntent(action="copied", old_digest=None, new_digest=Digest(child.digest))
        said = undone({f"{stubborn.host}/app:mine": intent}, locks)["mine"]
    assert "deletes neither tags nor manifests" in said
    assert "UNSUPPORTED: the operation is unsupported" in said
    assert "let the registry delete, and undo the push again" in said
