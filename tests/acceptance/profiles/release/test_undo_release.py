"""A release is taken back whole or not at all (BEHAVIOUR 10.7), also if its worker is killed between any two steps."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tasks import contract
from tasks.errors import StateUnavailable
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.publish.journal import Direction
from tasks.transfer.publish.undo_release import ReleaseUndo
from tests.acceptance.profiles.release.delivery import (
    NEW,
    TAGS,
    WHOLLY_NEW,
    WHOLLY_OLD,
    WITHOUT_DELETES,
    Fuse,
    Killed,
    Records,
    Watched,
    Worker,
    begin,
    held,
)
from tests.support import images
from tests.support.profiles.server import ProfileRegistry
from tests.support.tag_locks import MemoryTagLocks
from tests.unit.registry.clients import QUICK


@dataclass
class Undoing:
    """One delivery of the undo of a release that stands."""

    registry: ProfileRegistry
    records: Records
    fuse: Fuse = field(default_factory=Fuse)
    holds: dict[str, contract.Hold] = field(default_factory=dict)
    leave_moved: bool = False
    direction: Direction | None = None
    locks: MemoryTagLocks = field(default_factory=MemoryTagLocks)

    def release(self) -> ReleaseUndo:
        registries = Registries(RegistryConfiguration(limits=QUICK))
        fuse = self.fuse

        class Client:
            def repository(self, host: str, name: str, *role: Any, **options: Any) -> Any:
                return Watched(registries.repository(host, name, *role, **options), fuse)

        clients: Any = Client()
        return ReleaseUndo(
            push_id="p",
            references=sorted(self.records.intents),
            registries=clients,
            locks=self.locks,
            journal=self,
            contents=self,
            intents=lambda: self.records.intents,
            hold_of=self.holds.get,
            leave_moved=self.leave_moved,
        )

    def run(self) -> contract.Undo:
        return self.release().run()

    def read(self, digest: str | None = None) -> Any:
        return self.direction if digest is None else self.records.contents.get(digest)

    again = read

    def note(self, direction: Direction, why: str = "") -> None:
        del why

        def act() -> None:
            self.direction = direction

        self.fuse.around(act)()

    def claim(self, references: Sequence[str]) -> None:
        del references

    def why(self) -> str:
        return ""

    def keep(self, digest: str, content: bytes) -> None:
        self.fuse.around(lambda: self.records.contents.update({digest: content}))()


def stand(registry: ProfileRegistry, *, irreversible: bool = False) -> Records:
    """Let a release stand, and return its records."""
    registry.immutable = ()
    begin(registry)
    records = Records()
    assert Worker(registry, records, Fuse(), MemoryTagLocks(), irreversible=irreversible).run(NEW).stands
    return records


def actions(undo: contract.Undo) -> list[str]:
    return [tag.action for tag in undo.tags]


def test_all_tags_go_back(registry: ProfileRegistry) -> None:
    undoing = Undoing(registry, stand(registry))
    preview = undoing.release().preview()
    assert held(registry) == WHOLLY_NEW
    undone = undoing.run()
    assert held(registry) == WHOLLY_OLD
    assert undone == preview
    assert (undone.state, sorted(actions(undone))) == ("succeeded", ["deleted", "restored", "restored", "restored"])
    assert undoing.run().state == "succeeded"


@pytest.mark.parametrize("refused", TAGS[:-1])
def test_a_tag_that_cannot_go_back_keeps_all_others(registry: ProfileRegistry, refused: str) -> None:
    undoing = Undoing(registry, stand(registry))
    registry.immutable = (refused,)
    undone = undoing.run()
    assert held(registry) == WHOLLY_NEW
    told = {tag.reference.rpartition(":")[2]: tag for tag in undone.tags}
    assert undone.state == "failed"
    assert {name: tag.action for name, tag in told.items()} == {
        tag: "failed" if tag == refused else "skipped" for tag in TAGS
    }
    registry.immutable = ()
    assert undoing.run().state == "succeeded"
    assert held(registry) == WHOLLY_OLD


def test_a_tag_that_someone_moved_keeps_all_others_unless_that_is_borne(registry: ProfileRegistry) -> None:
    undoing = Undoing(registry, stand(registry))
    theirs = images.index([images.image("linux/s390x", [images.layer("theirs", 10)])])
    registry.put("ns/app", theirs, "1")
    found = WHOLLY_NEW | {"1": theirs.digest}
    for undone in (undoing.release().preview(), undoing.run()):
        assert held(registry) == found
        assert (undone.state, sorted(set(actions(undone)))) == ("failed", ["moved", "skipped"])
        skipped = [tag for tag in undone.tags if tag.action == "skipped"]
        assert {tag.digest for tag in skipped} == {NEW.digest}
        assert all("`undo --leave-moved`" in str(tag.error) for tag in skipped)
    undoing.leave_moved = True
    for undone in (undoing.release().preview(), undoing.run()):
        assert (undone.state, sorted(set(actions(undone)))) == ("partial", ["deleted", "moved", "restored"])
    assert held(registry) == WHOLLY_OLD | {"1": theirs.digest}


def test_a_new_tag_that_the_registry_would_not_delete_keeps_all_others() -> None:
    """Rule 10.7: none is moved to and fro, and the dry run says it."""
    with ProfileRegistry(WITHOUT_DELETES) as registry:
        undoing = Undoing(registry, stand(registry, irreversible=True))
        writes = len([each for each in registry.requests() if each.method == "PUT"])
        for undone in (undoing.release().preview(), undoing.run()):
            assert {tag.reference.rpartition(":")[2]: tag.action for tag in undone.tags} == {
                tag: "failed" if tag == "new" else "skipped" for tag in TAGS
            }
        assert held(registry) == WHOLLY_NEW
        assert len([each for each in registry.requests() if each.method == "PUT"]) == writes


def test_a_tag_on_hold_keeps_all_others(registry: ProfileRegistry) -> None:
    """Rule 10.5."""
    undoing = Undoing(registry, stand(registry))
    name = f"{registry.host}/ns/app:2"
    undoing.holds[name] = contract.Hold(reference=name, why="audit", since=0.0)
    for undone in (undoing.release().preview(), undoing.run()):
        assert held(registry) == WHOLLY_NEW
        assert [tag.error.code for tag in undone.tags if tag.reference == name and tag.error] == ["tag_held"]
        assert undone.state == "failed"


@pytest.mark.parametrize(("refused", "expected"), [((), WHOLLY_OLD), (("3",), WHOLLY_NEW)])
def test_a_worker_that_is_killed_between_any_two_steps_leaves_no_half(
    registry: ProfileRegistry, refused: tuple[str, ...], expected: dict[str, str | None]
) -> None:
    for at in itertools.count(1):
        undoing = Undoing(registry, stand(registry), Fuse(at))
        registry.immutable = refused
        try:
            undoing.run()
        except Killed:
            undoing.fuse = Fuse()
        else:
            assert at > 10
            return
        undone = undoing.run()
        assert held(registry) == expected, f"killed at step {at}"
        assert (undone.state == "succeeded") == (expected == WHOLLY_OLD), f"killed at step {at}"


@pytest.mark.parametrize(("refused", "expected"), [((), WHOLLY_OLD), (("3",), WHOLLY_NEW)])
def test_an_undo_goes_on_when_the_redis_of_its_locks_is_back(
    registry: ProfileRegistry, refused: tuple[str, ...], expected: dict[str, str | None]
) -> None:
    """Rules 7.5, 10.7."""
    for at in itertools.count(1):
        undoing = Undoing(registry, stand(registry))
        undoing.locks.away_at = at
        registry.immutable = refused
        try:
            undone = undoing.run()
        except StateUnavailable:
            undone = undoing.run()
        assert held(registry) == expected, f"away at write {at}"
        assert (undone.state == "succeeded") == (expected == WHOLLY_OLD), f"away at write {at}"
        if undoing.locks.steps < at:
            break
    assert at >= len(TAGS)
