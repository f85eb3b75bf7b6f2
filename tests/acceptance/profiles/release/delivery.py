"""Deliveries of a release that are killed, limited, or lose their locks at any step (BEHAVIOUR 10.1)."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tasks import contract
from tasks.errors import (
    LockUnavailable,
    PushAbandoned,
    PushUndone,
    RateLimited,
)
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.plan.decide import Current
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.ports import MayRetry, TagIntent, TagLocks
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
from tests.support.profiles.profile import AccessRules, TagRules
from tests.support.profiles.server import ProfileRegistry
from tests.support.tag_locks import MemoryTagLocks
from tests.unit.registry.clients import QUICK

TOGETHER = replace(profiles.ZOT, access=AccessRules())
PROFILES = [
    replace(profiles.QUAY, access=AccessRules()),
    replace(TOGETHER, manifests=replace(TOGETHER.manifests, several_tags=False)),
    replace(profiles.DISTRIBUTION_3_1, access=AccessRules()),
]


WITHOUT_DELETES = replace(profiles.STRICT, name="without-deletes", tags=TagRules(delete="none"))
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

    again = read

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

    give_up = is_needed = is_needed_again = need

    def ensure_wanted(self) -> None:
        if self.worker.records.is_undone:
            raise PushUndone("The push was taken back.")


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
