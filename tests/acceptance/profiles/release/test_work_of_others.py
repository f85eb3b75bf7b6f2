"""What others write at the tags of a release is not its work, and stays (BEHAVIOUR 6.6, 7.6, 10.1)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tasks.errors import (
    PushAbandoned,
)
from tasks.oci.digest import Digest
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.ports import TagIntent, Writer, Written
from tasks.transfer.publish.journal import Direction
from tasks.transfer.undo.undo import undo
from tests.acceptance.profiles.release.delivery import (
    NEW,
    OLD,
    TAGS,
    WHOLLY_NEW,
    WHOLLY_OLD,
    Fuse,
    Records,
    Worker,
    actions,
    announced,
    begin,
    held,
    limited,
)
from tests.support import images
from tests.support.profiles.server import ProfileRegistry
from tests.support.tag_locks import MemoryTag, MemoryTagLocks
from tests.unit.registry.clients import QUICK


def test_a_foreign_write_in_mid_release_is_left_alone_and_said_so(registry: ProfileRegistry) -> None:
    """Rule 10.1."""
    begin(registry)
    theirs = images.index([images.image("linux/s390x", [images.layer("theirs", 10)])])
    registry.immutable = ("3",)
    worker = Worker(registry, Records(), Fuse(), MemoryTagLocks())
    note = worker.note

    def note_and_write(direction: Direction, why: str = "") -> None:
        if direction == "back":
            registry.put("ns/app", theirs, "1")
        note(direction, why)

    worker.note = note_and_write  # type: ignore[method-assign]
    ended = worker.run(NEW)
    assert held(registry) == WHOLLY_OLD | {"1": theirs.digest}
    report = ended.reports["1"]
    assert report.error is not None
    assert (report.action, report.error.code, report.new_digest) == ("failed", "tag_conflict", theirs.digest)


def test_what_another_push_wrote_after_a_release_was_put_back_is_not_its_own_work(registry: ProfileRegistry) -> None:
    """Rules 6.1, 6.6: nor is it put back with the release."""
    records = limited(registry, "3")
    registry.put("ns/app", NEW, "1")
    registry.put("ns/app", NEW, "new")
    registry.immutable = ("3",)
    ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_OLD | {"1": NEW.digest, "new": NEW.digest}
    assert actions(ended) == {"1": "skipped", "2": "rolled_back", "3": "failed", "new": "skipped"}

    registry.immutable = ()
    records = limited(registry, "3")
    registry.put("ns/app", NEW, "1")
    ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_NEW
    assert actions(ended) == {"1": "unchanged", "2": "copied", "3": "copied", "new": "copied"}
    assert [intent.changes for intent in records.intents.values()].count(False) == 1


@pytest.mark.parametrize("abandoned", [None, PushAbandoned("It ended its workers.")])
def test_what_another_push_wrote_before_a_release_began_is_not_its_own_work(
    registry: ProfileRegistry, abandoned: PushAbandoned | None
) -> None:
    """Rules 6.1, 6.6, 10.1: the same image, which the release has announced and certainly not written."""
    records = announced(registry)
    registry.put("ns/app", NEW, "1")
    registry.put("ns/app", NEW, "new")
    registry.immutable = ("3",)
    ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW, abandoned=abandoned)
    others = {"1": NEW.digest, "new": NEW.digest}
    assert held(registry) == WHOLLY_OLD | others
    ended.forget()
    undone = undo("p", changes(records), Registries(RegistryConfiguration(limits=QUICK)), MemoryTagLocks())
    assert (undone.tags, held(registry)) == ([], WHOLLY_OLD | others)

    if abandoned is None:
        records = announced(registry)
        registry.put("ns/app", NEW, "1")
        registry.immutable = ()
        ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
        assert actions(ended) == dict.fromkeys(TAGS, "copied") | {"1": "unchanged"}


@pytest.mark.parametrize("refused", TAGS[1:3])
def test_a_release_that_was_put_back_is_not_taken_back_again(registry: ProfileRegistry, refused: str) -> None:
    """Rules 6.6, 10.1: another push writes the same image to its tags, which an undo of the release leaves there."""
    begin(registry)
    registry.immutable = (refused,)
    records = Records()
    ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    assert not ended.stands
    assert changes(records)
    ended.forget()
    registry.immutable = ()
    for tag in TAGS:
        registry.put("ns/app", NEW, tag)
    undone = undo("p", changes(records), Registries(RegistryConfiguration(limits=QUICK)), MemoryTagLocks())
    assert (undone.tags, held(registry)) == ([], WHOLLY_NEW)


def changes(records: Records) -> dict[str, TagIntent]:
    """Return the intents that an undo goes by."""
    return {name: intent for name, intent in records.intents.items() if intent.changes}


def test_what_was_deleted_is_not_brought_back_by_a_late_write(registry: ProfileRegistry) -> None:
    """Rules 7.6, 10.1: a write that began before a release, and lands after it went back, replaced nothing of it."""
    begin(registry)
    locks, records, reference = MemoryTagLocks(), Records(), f"{registry.host}/ns/app:new"
    with locks.hold(reference) as tag:
        tag.note_writing(OLD.digest, None)
    assert Worker(registry, records, Fuse(), locks).run(NEW).stands
    registries, kept = Registries(RegistryConfiguration(limits=QUICK)), records.contents.get
    assert undo("p", records.intents, registries, locks, kept).state == "succeeded"
    assert held(registry) == WHOLLY_OLD
    with locks.hold(reference) as tag:
        assert tag.record().overwritten_by(OLD.digest) is None


class LosingLocks(MemoryTagLocks):
    """Locks that are lost when an old manifest is about to be put back, while another push moves the tag."""

    def __init__(self, move: Callable[[], Written]) -> None:
        super().__init__()
        self.move = move
        self.moved = False

    @contextmanager
    def hold(self, reference: str, most: float | None = None) -> Iterator[MemoryTag]:
        with super().hold(reference, most) as tag:
            note_writing = tag.note_writing

            def noting(digest: str, last: str | None, writer: Writer | None = None) -> None:
                note_writing(digest, last, writer)
                if not self.moved:
                    self.moved = True
                    written = self.move()
                    with super(LosingLocks, self).hold(reference) as other:
                        other.note_writing(written.digest, other.record().last)
                        other.note_written(written)

            tag.note_writing = noting  # type: ignore[method-assign]
            yield tag


def test_an_undo_that_stood_still_before_its_write_brings_back_what_that_replaced(registry: ProfileRegistry) -> None:
    """Rule 7.6: it put an old manifest over what another push had written meanwhile, and says that it failed."""
    begin(registry)
    theirs = images.index([images.image("linux/s390x", [images.layer("theirs", 100)])])

    def move() -> Written:
        registry.put("ns/app", theirs, "1")
        # Other clients look at nothing: the undo writes over it.
        return Written(theirs.digest, theirs.media_type, theirs.manifest)

    registry.put("ns/app", NEW, "1")
    reference = f"{registry.host}/ns/app:1"
    intent = TagIntent(
        action="copied", old_digest=Digest(OLD.digest), old_media_type=OLD.media_type, new_digest=Digest(NEW.digest)
    )
    undone = undo("p", {reference: intent}, Registries(RegistryConfiguration(limits=QUICK)), LosingLocks(move))
    assert [tag.error and tag.error.code for tag in undone.tags] == ["lock_lost"]
    assert registry.tags("ns/app")["1"] == theirs.digest


def test_a_release_that_stands_is_not_moved_again_by_a_repeat(registry: ProfileRegistry) -> None:
    """Rule 10.1: its events may have been sent, and what someone else wrote since is newer."""
    begin(registry)
    theirs = images.index([images.image("linux/s390x", [images.layer("theirs", 10)])])
    records = Records()
    first = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    registry.put("ns/app", theirs, "1")
    registry.immutable = TAGS
    again = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    assert again.stands
    assert held(registry) == WHOLLY_NEW | {"1": theirs.digest}
    assert {key: moved.report(key) for key, moved in again.moved.items()} == {
        key: moved.report(key) for key, moved in first.moved.items()
    }


def test_a_release_that_stood_and_was_taken_back_is_not_told_of(registry: ProfileRegistry) -> None:
    """Rule 10.1: no event says that a tag moved which an undo has put back meanwhile."""
    begin(registry)
    records = Records()
    Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    records.is_undone = True
    again = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    assert not again.stands
    assert held(registry) == WHOLLY_OLD
