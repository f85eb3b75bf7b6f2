"""A release lands whole or not at all (BEHAVIOUR 10.1), also where its worker is killed between any two steps."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tasks import contract
from tasks.errors import (
    LockLost,
    LockUnavailable,
    PushAbandoned,
    PushUndone,
    RateLimited,
    RegistryUnavailable,
    ReleaseUnsettled,
    Retry,
    StateUnavailable,
)
from tasks.oci.digest import Digest
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.plan.decide import Current
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.ports import MayRetry, TagIntent, TagLocks, Writer, Written
from tasks.transfer.publish.ended import Ended
from tasks.transfer.publish.journal import Direction
from tasks.transfer.publish.release import Release
from tasks.transfer.publish.release_member import Member
from tasks.transfer.publish.tag import TagMove
from tasks.transfer.undo.undo import undo
from tests.acceptance.profiles.wishes import wish
from tests.support import images
from tests.support.images import Index
from tests.support.profiles import profiles
from tests.support.profiles.profile import AccessRules, Profile, TagRules
from tests.support.profiles.server import ProfileRegistry
from tests.support.tag_locks import MemoryTag, MemoryTagLocks
from tests.unit.registry.clients import QUICK

TOGETHER = replace(profiles.ZOT, access=AccessRules())
PROFILES = [
    replace(profiles.QUAY, access=AccessRules()),
    replace(TOGETHER, manifests=replace(TOGETHER.manifests, several_tags=False)),
    replace(profiles.DISTRIBUTION_3_1, access=AccessRules()),
]
TAGS = ("1", "2", "3", "new")
OLD, NEW = (
    images.index([images.image(f"linux/{each}", [images.layer(word, 100)])])
    for each, word in (
        ("amd64", "old"),
        ("amd64", "new"),
    )
)


class Killed(BaseException):
    """The worker is killed."""


class Fuse:
    """Count the steps of a release; the one that it is set to kills the worker before or after it takes effect."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.steps = 0

    def around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            self._burn()
            result = act(*arguments, **options)
            self._burn()
            return result

        return step

    def _burn(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Killed


class Limit(Fuse):
    """Count the manifests that a release writes; the registry limits the one that it is set to, before it is stored."""

    def around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **options: Any) -> Any:
            self.steps += 1
            if self.steps == self.at:
                raise RateLimited("Too many requests.", 40.0)
            return act(*arguments, **options)

        return write if getattr(act, "__name__", "") == "push_manifest" else act


class LateLimit(Limit):
    """As Limit, but the manifest was stored."""

    def around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **options: Any) -> Any:
            self.steps += 1
            result = act(*arguments, **options)
            if self.steps == self.at:
                raise RateLimited("Too many requests.", 40.0)
            return result

        return write if getattr(act, "__name__", "") == "push_manifest" else act


class Closed(Limit):
    """As Limit, but the registry limits all that come after it, too."""

    def around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **options: Any) -> Any:
            self.steps += 1
            if self.at is not None and self.steps >= self.at:
                raise RateLimited("Too many requests.", 40.0)
            return act(*arguments, **options)

        return write if getattr(act, "__name__", "") == "push_manifest" else act


class Watched:
    """A client of a repository each of whose writes is a step."""

    def __init__(self, real: Any, fuse: Fuse) -> None:
        self._real = real
        self.push_manifest = fuse.around(real.push_manifest)
        self.tag_together = fuse.around(real.tag_together)
        self.delete_tag = fuse.around(real.delete_tag)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __str__(self) -> str:
        return str(self._real)


@dataclass
class Records:
    """The ledger's records of a release: they outlive its worker."""

    direction: Direction | None = None
    why: str = ""
    intents: dict[str, TagIntent] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    is_undone: bool = False


@dataclass
class Worker:
    """One delivery of the release."""

    registry: ProfileRegistry
    records: Records
    fuse: Fuse
    locks: MemoryTagLocks
    second: Index | None = None
    """The index of another item, which goes to the same tags."""
    irreversible: bool = False
    other: Records | None = None
    """The records of another release of these tags."""

    def run(
        self,
        source: Index,
        *,
        retries: bool = False,
        abandoned: PushAbandoned | None = None,
        may_retry: MayRetry | None = None,
    ) -> Ended:
        registries = Registries(RegistryConfiguration(limits=QUICK))
        worker = self

        class Client:
            def repository(self, host: str, name: str, *role: Any, **options: Any) -> Any:
                return Watched(registries.repository(host, name, *role, **options), worker.fuse)

        clients: Any = Client()
        members = []
        for key, tag, wished in [(tag, tag, source) for tag in TAGS] + [
            (f"{tag} again", tag, self.second) for tag in TAGS if self.second is not None
        ]:
            reference = Reference(self.registry.host, "ns/app", tag)
            planned = PlannedTag(reference=reference, action="copied")
            repository = clients.repository(*reference.place, "destination", push=True)
            move = TagMove(wish(wished), repository, planned, _Intents(self, str(reference)))
            members.append(Member(key, planned, move, irreversible=self.irreversible))

        def put_back(intents: Mapping[str, TagIntent], locks: TagLocks) -> contract.Undo:
            return undo("p", intents, clients, locks, self.records.contents.get)

        with ThreadPoolExecutor(1) as executor:
            return Release(members, self.locks, self, put_back, executor).run(
                may_retry or (lambda _: retries), abandoned
            )

    def read(self) -> Direction | None:
        return self.records.direction

    def note(self, direction: Direction, why: str = "") -> None:
        def act() -> None:
            self.records.direction = direction
            self.records.why = why or self.records.why

        self.fuse.around(act)()

    def claim(self, references: Sequence[str]) -> None:
        del references
        if self.other is not None and self.other.direction in {"forward", "back", "return"}:
            raise LockUnavailable("The release of the other push has not ended.")

    def why(self) -> str:
        return self.records.why


@dataclass
class _Intents:
    worker: Worker
    reference: str
    push_id: str = "p"

    def read(self) -> TagIntent | None:
        return self.worker.records.intents.get(self.reference)

    def note(self, intent: TagIntent, replaced: Current | None, known: TagIntent | None) -> None:
        def act() -> None:
            if replaced is not None and replaced.content:
                self.worker.records.contents[replaced.digest] = replaced.content
            self.worker.records.intents[self.reference] = intent

        assert self.read() == known, "an intent that nobody knows of would be lost"
        self.worker.fuse.around(act)()

    def ensure_open(self) -> None:
        return

    def ensure_settled(self) -> None:
        return

    def need(self, tag: str) -> bool:
        del tag
        return False

    give_up = is_shared = is_needed = need

    def ensure_wanted(self) -> None:
        if self.worker.records.is_undone:
            raise PushUndone("The push was taken back.")


@pytest.fixture(params=PROFILES, ids=lambda profile: profile.name)
def registry(request: pytest.FixtureRequest) -> Iterator[ProfileRegistry]:
    with ProfileRegistry(request.param) as registry:
        yield registry


def begin(registry: ProfileRegistry) -> None:
    """Let the tags hold what they held before the release, and the images of the new one be there."""
    registry.store.repositories.pop("ns/app", None)
    registry.store.create("ns/app")
    for tag in TAGS[:-1]:
        registry.put("ns/app", OLD, tag)
    for member in NEW.members:
        registry.put("ns/app", member)


def held(registry: ProfileRegistry) -> dict[str, str | None]:
    found = registry.tags("ns/app")
    assert all(registry.lacks("ns/app", tag) == [] for tag in found)
    return {tag: found.get(tag) for tag in TAGS}


WHOLLY_NEW = dict.fromkeys(TAGS, NEW.digest)
WHOLLY_OLD = {tag: None if tag == "new" else OLD.digest for tag in TAGS}


def actions(ended: Ended) -> Mapping[str, str]:
    return {key: moved.intent.action for key, moved in ended.moved.items()} | {
        key: report.action for key, report in ended.reports.items()
    }


def test_a_release_moves_all_of_its_tags(registry: ProfileRegistry) -> None:
    """Rule 10.1."""
    begin(registry)
    ended = Worker(registry, Records(), Fuse(), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_NEW
    assert actions(ended) == dict.fromkeys(TAGS, "copied")


@pytest.mark.parametrize("refused", TAGS[:-1])
def test_a_tag_that_cannot_move_takes_all_others_back(registry: ProfileRegistry, refused: str) -> None:
    """Rule 10.1: to their exact old digests, and a new one is deleted."""
    begin(registry)
    registry.immutable = (refused,)
    ended = Worker(registry, Records(), Fuse(), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_OLD
    place = TAGS.index(refused)
    assert actions(ended) == {
        tag: "rolled_back" if number < place else "failed" if number == place else "skipped"
        for number, tag in enumerate(TAGS)
    }


def test_two_items_of_a_release_meet_at_each_tag_and_go_back_together(registry: ProfileRegistry) -> None:
    """Rules 1.5, 10.1: to what was there before the first of them."""
    second = images.index([images.image("linux/arm64", [images.layer("second", 100)])])
    for at in itertools.count(1):
        begin(registry)
        for member in second.members:
            registry.put("ns/app", member)
        records = Records()
        try:
            Worker(registry, records, Limit(at), MemoryTagLocks(), second).run(NEW, retries=True)
        except RateLimited:
            assert held(registry) == WHOLLY_OLD, f"limited at write {at}"
        else:
            break
        ended = Worker(registry, records, Fuse(), MemoryTagLocks(), second).run(NEW)
        assert ended.stands
        assert set(registry.tags("ns/app")) >= set(TAGS)
        assert held(registry).items().isdisjoint((WHOLLY_OLD | WHOLLY_NEW).items()), f"limited at write {at}"
    assert at > 3 * len(TAGS)
    assert {intent.old_digest for intent in records.intents.values()} == {OLD.digest, None}


def kill_everywhere(registry: ProfileRegistry, expected: tuple[Mapping[str, str | None], ...]) -> set[str]:
    """Kill the worker at each of its steps in turn, and let another one end the release; return how they ended."""
    endings: set[str] = set()
    for at in itertools.count(1):
        begin(registry)
        records, fuse = Records(), Fuse(at)
        try:
            Worker(registry, records, fuse, MemoryTagLocks()).run(NEW)
        except Killed:
            pass
        else:
            return endings
        ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
        found = held(registry)
        assert found in expected, f"killed at step {at}"
        assert ended.stands == (found == WHOLLY_NEW), f"killed at step {at}"
        for report in ended.reports.values():
            # An operator reads which tag was refused, and why, whichever worker met the refusal.
            assert report.error is not None
            assert "immutable" in report.error.message, f"killed at step {at}"
        endings.add("new" if found == WHOLLY_NEW else "old")
    return endings


def test_a_worker_that_is_killed_between_any_two_steps_leaves_no_half_of_a_release(registry: ProfileRegistry) -> None:
    """Rule 10.1."""
    assert kill_everywhere(registry, (WHOLLY_NEW,)) == {"new"}


def test_what_a_killed_worker_left_is_not_what_another_release_goes_back_to(registry: ProfileRegistry) -> None:
    """Rule 10.1: two releases share tags, both are killed in their middle, and both are refused in the end."""
    second = images.index([images.image("linux/arm64", [images.layer("second", 100)])])
    for at in itertools.count(1):
        begin(registry)
        for member in second.members:
            registry.put("ns/app", member)
        registry.immutable = ("3",)
        killed = Records()
        try:
            Worker(registry, killed, Fuse(at), MemoryTagLocks()).run(NEW)
        except Killed:
            pass
        else:
            break
        later = Worker(registry, Records(), Fuse(at), MemoryTagLocks(), other=killed)
        with suppress(LockUnavailable, Killed):
            later.run(second, retries=True)
        Worker(registry, killed, Fuse(), MemoryTagLocks()).run(NEW)
        Worker(registry, later.records, Fuse(), MemoryTagLocks()).run(second)
        assert held(registry) == WHOLLY_OLD, f"killed at step {at}"


def test_a_worker_that_is_killed_while_it_rolls_back_leaves_no_half_of_a_release(registry: ProfileRegistry) -> None:
    """Rule 10.1."""
    registry.immutable = ("3",)
    assert kill_everywhere(registry, (WHOLLY_OLD,)) == {"old"}


def test_a_release_that_is_abandoned_is_put_back_unless_it_stands(registry: ProfileRegistry) -> None:
    """Rule 10.1: a worker that it ended left it at any of its steps."""
    endings = []
    for at in itertools.count(1):
        begin(registry)
        records = Records()
        try:
            Worker(registry, records, Fuse(at), MemoryTagLocks()).run(NEW)
        except Killed:
            pass
        else:
            break
        ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW, abandoned=PushAbandoned("Four times."))
        endings.append(held(registry))
        assert ended.stands == (endings[-1] == WHOLLY_NEW), f"killed at step {at}"
        codes = {report.error.code for report in ended.reports.values() if report.error is not None}
        assert codes == (set() if ended.stands else {"abandoned"}), f"killed at step {at}"
    # The last step notes that it stands; one kill is before that, and one after.
    assert endings == [*[WHOLLY_OLD] * (len(endings) - 1), WHOLLY_NEW]


@pytest.mark.parametrize("refused", [None, "3"])
def test_a_release_goes_on_when_the_redis_of_its_locks_is_back(registry: ProfileRegistry, refused: str | None) -> None:
    """Rules 7.5, 10.1: an outage is no reason for half of a release, and none of its tags is at fault."""
    for at in itertools.count(1):
        begin(registry)
        registry.immutable = () if refused is None else (refused,)
        records, locks = Records(), MemoryTagLocks()
        locks.away_at = at
        try:
            ended = Worker(registry, records, Fuse(), locks).run(NEW)
        except StateUnavailable:
            ended = Worker(registry, records, Fuse(), locks).run(NEW)
        assert held(registry) == (WHOLLY_NEW if refused is None else WHOLLY_OLD), f"away at write {at}"
        assert ended.stands == (refused is None), f"away at write {at}"
        if locks.steps < at:
            break
    assert at > len(TAGS)


def test_a_lock_that_is_lost_while_the_release_is_put_back_is_taken_again(registry: ProfileRegistry) -> None:
    """Rule 10.1: at once, by the same worker."""
    registry.immutable = ("3",)
    for at in itertools.count(1):
        begin(registry)
        locks = MemoryTagLocks()
        locks.lost_at = (at,)
        ended = Worker(registry, Records(), Fuse(), locks).run(NEW)
        assert held(registry) == WHOLLY_OLD, f"lost at write {at}"
        assert not ended.stands
        if locks.steps < at:
            break
    assert at > len(TAGS)


@pytest.mark.parametrize("direction", [None, "forward"])
def test_a_release_that_loses_its_locks_again_and_again_ends(
    registry: ProfileRegistry, direction: Direction | None
) -> None:
    """Rules 7.5, 10.1: its tries are counted; half of it is waited for, with an end."""
    begin(registry)
    records, locks = Records(direction), MemoryTagLocks()
    registry.put("ns/app", NEW, "1")
    intent = TagIntent(
        action="copied", old_digest=Digest(OLD.digest), old_media_type=OLD.media_type, new_digest=Digest(NEW.digest)
    )
    records.intents = {f"{registry.host}/ns/app:1": intent} if direction else {}
    locks.lost_at = range(1_000)
    worker = Worker(registry, records, Fuse(), locks)
    with pytest.raises(LockLost):
        worker.run(NEW, retries=True)
    ended = worker.run(NEW, retries=False)
    assert {report.error.code for report in ended.reports.values() if report.error} == {"lock_lost"}
    told = {"cannot be told" in str(report.error) for report in ended.reports.values()}
    assert told == {direction is not None}
    with pytest.raises(ReleaseUnsettled) if direction else nullcontext():
        worker.run(NEW, may_retry=lambda error: error.retry is Retry.WAIT)


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


def test_a_tag_that_cannot_be_put_back_yet_is_tried_again(registry: ProfileRegistry) -> None:
    """Rule 10.1: the release stays in the state of going back until its last try."""
    begin(registry)
    registry.immutable = ("3",)
    records = Records()
    worker = Worker(registry, records, Fuse(), MemoryTagLocks())
    note = worker.note

    def note_and_refuse(direction: Direction, why: str = "") -> None:
        note(direction, why)
        if direction == "back":
            registry.immutable = ("1", "3")

    worker.note = note_and_refuse  # type: ignore[method-assign]
    with pytest.raises(ReleaseUnsettled):
        worker.run(NEW, retries=True)
    assert records.direction == "back"
    registry.immutable = ()
    ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_OLD
    assert not ended.stands


@pytest.mark.parametrize("limit", [Limit, LateLimit])
def test_a_release_that_a_registry_limits_is_put_back_and_tried_again(
    registry: ProfileRegistry, limit: type[Limit]
) -> None:
    """Rule 10.1."""
    for at in itertools.count(1):
        begin(registry)
        records = Records()
        try:
            Worker(registry, records, limit(at), MemoryTagLocks()).run(NEW, retries=True)
        except RateLimited:
            assert held(registry) == WHOLLY_OLD, f"limited at write {at}"
        else:
            break
        ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
        assert held(registry) == WHOLLY_NEW, f"limited at write {at}"
        assert actions(ended) == dict.fromkeys(TAGS, "copied"), f"limited at write {at}"
    assert at > len(TAGS)


def limited(registry: ProfileRegistry, tag: str) -> Records:
    """Let a registry limit the write of a tag, so that the release is put back, and return its records."""
    begin(registry)
    records = Records()
    # Before the first tag the manifest is written once for each of them, under its digest.
    limit = Limit(len(TAGS) + TAGS.index(tag) + 1)
    with pytest.raises(RateLimited):
        Worker(registry, records, limit, MemoryTagLocks()).run(NEW, retries=True)
    assert (records.direction, held(registry)) == ("again", WHOLLY_OLD)
    return records


def test_a_release_that_is_limited_at_its_last_try_has_failed(registry: ProfileRegistry) -> None:
    """Rule 10.1."""
    records = limited(registry, "3")
    ended = Worker(registry, records, Limit(len(TAGS) + 2), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_OLD
    assert actions(ended) == {"1": "rolled_back", "2": "failed", "3": "skipped", "new": "skipped"}


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


def announced(registry: ProfileRegistry) -> Records:
    """Let a worker be killed when it has noted all intents of a release, and begun no write; return the records."""
    for at in itertools.count(1):
        begin(registry)
        records = Records()
        with pytest.raises(Killed):
            Worker(registry, records, Fuse(at), MemoryTagLocks()).run(NEW)
        if len(records.intents) == len(TAGS):
            break
    assert (records.direction, held(registry)) == (None, WHOLLY_OLD)
    return records


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


def test_a_release_that_was_reported_before_it_began_never_begins(registry: ProfileRegistry) -> None:
    """Rules 6.1, 10.1: another delivery gave it up while this one stood still, and reported its tags."""
    records = announced(registry)
    ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(
        NEW, abandoned=PushAbandoned("It ended its workers.")
    )
    assert {report.action for report in ended.reports.values()} == {"failed"}
    late = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
    assert not late.stands
    assert (records.direction, held(registry)) == ("never", WHOLLY_OLD)


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


def closed(registry: ProfileRegistry) -> Records:
    """Let a registry limit a release, and then its roll-back, and return its records."""
    begin(registry)
    records = Records()
    with pytest.raises(ReleaseUnsettled) as raised:
        Worker(registry, records, Closed(len(TAGS) + 3), MemoryTagLocks()).run(NEW, retries=True)
    assert (raised.value.retry, raised.value.retry_after) == (Retry.WAIT, 40.0)
    assert (records.direction, held(registry)) == ("return", WHOLLY_OLD | {"1": NEW.digest, "2": NEW.digest})
    return records


def test_a_release_goes_on_when_a_limit_has_passed_that_its_roll_back_met(registry: ProfileRegistry) -> None:
    """Rule 10.1: also where its worker is killed between any two steps."""
    for at in itertools.count(1):
        records = closed(registry)
        try:
            Worker(registry, records, Fuse(at), MemoryTagLocks()).run(NEW)
        except Killed:
            ended = Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)
            assert held(registry) == WHOLLY_NEW, f"killed at step {at}"
            assert actions(ended) == dict.fromkeys(TAGS, "copied"), f"killed at step {at}"
        else:
            break
    assert held(registry) == WHOLLY_NEW


def test_a_roll_back_that_a_registry_limits_is_waited_for(registry: ProfileRegistry) -> None:
    """Rule 10.1: the tries of the release may be used up, and half of it must not stay for that."""
    records = closed(registry)
    given_up = Worker(registry, records, Closed(1), MemoryTagLocks()).run(NEW)
    assert held(registry) == WHOLLY_OLD | {"1": NEW.digest, "2": NEW.digest}
    for tag in ("1", "2"):
        report = given_up.reports[tag]
        assert (report.action, report.error.code if report.error else None) == ("failed", "rate_limited")
        assert "Whether the tag was put back cannot be told." in str(report.error)
    Worker(registry, records, Fuse(), MemoryTagLocks()).run(NEW)


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


@pytest.fixture
def together() -> Iterator[ProfileRegistry]:
    """Serve a registry that stores several tags with one request."""
    with ProfileRegistry(TOGETHER) as registry:
        yield registry


def tag_writes(registry: ProfileRegistry, since: int) -> list[tuple[str, int]]:
    """Return what was written at tags, and how it was answered: "" stands for the digest with several tags."""
    return [
        ("" if "sha256:" in each.path else each.path.rpartition("/")[2], each.status)
        for each in registry.requests()[since:]
        if each.method == "PUT" and (each.query or "sha256:" not in each.path)
    ]


def test_tags_that_get_one_manifest_are_written_with_one_request(together: ProfileRegistry) -> None:
    """Rule 10.1."""
    begin(together)
    since = len(together.requests())
    ended = Worker(together, Records(), Fuse(), MemoryTagLocks()).run(NEW)
    assert tag_writes(together, since) == [("", 201)]
    assert actions(ended) == dict.fromkeys(TAGS, "copied")
    assert held(together) == WHOLLY_NEW


def test_a_registry_that_names_no_tags_gets_one_request_for_each(registry: ProfileRegistry) -> None:
    """Rule 10.1: it ignores the tags beside a digest, and is asked once."""
    begin(registry)
    since = len(registry.requests())
    Worker(registry, Records(), Fuse(), MemoryTagLocks()).run(NEW)
    assert tag_writes(registry, since) == [("", 201), *((tag, 201) for tag in TAGS)]


@pytest.mark.parametrize("refused", TAGS[:-1])
def test_one_refused_tag_of_several_is_found_and_named(together: ProfileRegistry, refused: str) -> None:
    """Rule 10.1: the registry refuses all for one of them; the tags are then written one by one."""
    begin(together)
    together.immutable = (refused,)
    ended = Worker(together, Records(), Fuse(), MemoryTagLocks()).run(NEW)
    assert held(together) == WHOLLY_OLD
    place = TAGS.index(refused)
    assert actions(ended) == {
        tag: "rolled_back" if number < place else "failed" if number == place else "skipped"
        for number, tag in enumerate(TAGS)
    }


def test_a_worker_that_is_killed_around_a_request_for_several_tags(together: ProfileRegistry) -> None:
    """Rule 10.1."""
    assert kill_everywhere(together, (WHOLLY_NEW,)) == {"new"}
    together.immutable = ("3",)
    assert kill_everywhere(together, (WHOLLY_OLD,)) == {"old"}


class Afterwards(Fuse):
    """Do something right after the request for several tags; its answer may be `lost`."""

    def __init__(self, do: Callable[[], object], *, lost: bool = False) -> None:
        super().__init__()
        self._do = do
        self._lost = lost

    def around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        if getattr(act, "__name__", "") != "tag_together":
            return act

        def write(*arguments: Any) -> Any:
            result = act(*arguments)
            self._do()
            if self._lost:
                raise RegistryUnavailable("No answer within the time allowed.")
            return result

        return write


@pytest.mark.parametrize("lost", [False, True])
def test_a_foreign_write_after_a_request_for_several_tags_is_noticed(together: ProfileRegistry, lost: bool) -> None:
    """Rules 7.2, 10.1: each of the tags is looked at afterwards, whatever the answer was."""
    begin(together)
    theirs = images.index([images.image("linux/s390x", [images.layer("theirs", 10)])])
    fuse = Afterwards(lambda: together.put("ns/app", theirs, "1"), lost=lost)
    ended = Worker(together, Records(), fuse, MemoryTagLocks()).run(NEW)
    assert held(together) == WHOLLY_OLD | {"1": theirs.digest}
    assert ended.reports["1"].error is not None
    assert ended.reports["1"].error.code == "tag_conflict"


def test_a_request_for_several_tags_whose_answer_is_lost_has_moved_them(together: ProfileRegistry) -> None:
    """Rule 10.1: no tag is written a second time."""
    begin(together)
    since = len(together.requests())
    locks = MemoryTagLocks()
    ended = Worker(together, Records(), Afterwards(lambda: None, lost=True), locks).run(NEW)
    assert held(together) == WHOLLY_NEW
    assert tag_writes(together, since) == [("", 201)]
    assert actions(ended) == dict.fromkeys(TAGS, "copied")
    # Rule 7.6: a late write by someone who stood still is known at each tag.
    assert {tag: written.digest for tag, written in locks.written.items()} == {
        f"{together.host}/ns/app:{tag}": NEW.digest for tag in TAGS
    }


WITHOUT_DELETES = replace(profiles.STRICT, name="without-deletes", tags=TagRules(delete="none"))


@pytest.mark.parametrize(
    ("profile", "reason"),
    [(WITHOUT_DELETES, "deletes neither tags nor manifests"), (profiles.DISTRIBUTION_2_8, "elsewhere holds")],
    ids=lambda each: getattr(each, "name", ""),
)
def test_what_could_not_be_moved_back_is_refused_before_anything_moves(profile: Profile, reason: str) -> None:
    """Rule 10.1: a new tag, where the registry deletes none, or would delete another tag along with it."""
    with ProfileRegistry(profile) as registry:
        begin(registry)
        registry.put("ns/app", NEW, "elsewhere")
        refused = Worker(registry, Records(), Fuse(), MemoryTagLocks()).run(NEW)
        assert held(registry) == WHOLLY_OLD
        fault = refused.reports["new"].error
        assert fault is not None
        assert fault.code == "irreversible"
        assert reason in fault.message
        assert {key: report.action for key, report in refused.reports.items()} == {
            tag: "failed" if tag == "new" else "skipped" for tag in TAGS
        }
        accepted = Worker(registry, Records(), Fuse(), MemoryTagLocks(), irreversible=True).run(NEW)
        assert held(registry) == WHOLLY_NEW
        assert accepted.stands


def test_a_registry_that_deletes_manifests_only_takes_a_release_back_and_on() -> None:
    """Rule 10.1: also where the killed worker had moved the new tag, which then holds the manifest."""
    with ProfileRegistry(profiles.DISTRIBUTION_2_8) as registry:
        assert kill_everywhere(registry, (WHOLLY_NEW,)) == {"new"}
        registry.immutable = ("3",)
        assert kill_everywhere(registry, (WHOLLY_OLD,)) == {"old"}
