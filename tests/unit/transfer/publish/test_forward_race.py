"""A backport and a newer release race into floating tags, 1,000 times (BEHAVIOUR 10.4)."""

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pytest

from tasks.errors import DestinationError
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, digest_of
from tasks.oci.index import Index
from tasks.oci.reference import Reference
from tasks.oci.version import VERSION, said_age
from tasks.registry.manifest_answer import FetchedManifest
from tasks.transfer.plan.decide import MergePolicy
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.plan.tag_guard import Gate
from tasks.transfer.publish.held_manifests import Sightings
from tasks.transfer.publish.journal import Direction
from tasks.transfer.publish.moved import Moved
from tasks.transfer.publish.release import Release
from tasks.transfer.publish.release_member import Member
from tasks.transfer.publish.single_tag import move_single_tag
from tasks.transfer.publish.stage import Wish
from tasks.transfer.publish.tag import TagMove
from tasks.transfer.request.conditions import Conditions
from tests.support.intents import MemoryIntents
from tests.support.tag_locks import MemoryTag, MemoryTagLocks
from tests.unit.oci.listing import image, index
from tests.unit.transfer.plan.sources import of_index

ROUNDS: Final = 1_000
TAGS: Final = ("1", "1.10", "latest")


class WaitingLocks(MemoryTagLocks):
    """Locks for which threads wait."""

    def __init__(self) -> None:
        super().__init__()
        self._locks = {tag: threading.Lock() for tag in TAGS}

    @contextmanager
    def hold(self, reference: str, most: float | None = None) -> Iterator[MemoryTag]:
        with self._locks[reference.rpartition(":")[2]], super().hold(reference, most) as tag:
            yield tag


@dataclass
class MemoryRepository:
    """A repository in memory, that takes every manifest, and several tags at once."""

    may_tag_together = True
    tags: dict[str, Digest] = field(default_factory=dict)
    manifests: dict[str, FetchedManifest] = field(default_factory=dict)

    def resolve(self, reference: str) -> Descriptor | None:
        digest = self.tags.get(reference) or (Digest(reference) if reference in self.manifests else None)
        if digest is None:
            return None
        found = self.manifests[digest]
        return Descriptor(found.media_type, found.digest, len(found.content))

    def digest_at(self, tag: str) -> Digest | None:
        return self.tags.get(tag)

    def fetch_manifest(self, reference: str) -> FetchedManifest:
        return self.manifests[self.tags.get(reference) or reference]

    def push_manifest(self, tag: str, content: bytes, media_type: str, *, over: Digest | None = None) -> None:
        found = FetchedManifest(content, media_type, digest_of(content))
        self.manifests[found.digest] = found
        if tag != found.digest:
            assert self.tags.get(tag) == over
            self.tags[tag] = found.digest

    def tag_together(self, tags: Iterable[str], digest: str, content: bytes, media_type: str) -> bool:
        for tag in tags:
            self.push_manifest(tag, content, media_type, over=self.tags.get(tag))
        assert set(self.manifests) >= {digest}
        return True

    def deletes(self) -> str:
        return "tags"

    def hold(self, found: Index) -> None:
        """Let every tag hold an index."""
        source = of_index(found)
        self.manifests[source.digest] = FetchedManifest(source.content, source.media_type, source.digest)
        self.tags.update(dict.fromkeys(TAGS, source.digest))


def release(version: str) -> SourceImage:
    """Return an image of amd64 that says its version."""
    source = of_index(index(image(version, "linux/amd64"), annotations={VERSION: version}))
    return msgspec.structs.replace(source, age=said_age(source.content))


class Journal:
    """The direction of one release, in memory."""

    def __init__(self) -> None:
        self._direction: Direction | None = None

    def read(self) -> Direction | None:
        return self._direction

    again = read

    def note(self, direction: Direction, why: str = "") -> None:
        del why
        self._direction = direction

    def claim(self, references: Iterable[str]) -> None:
        pass

    def why(self) -> str:
        return ""


def moves(source: SourceImage, repository: Any, order: random.Random) -> list[Member]:
    """Return the moves of the floating tags to an image, in any order."""
    for needed in source.document.entries if isinstance(source.document, Index) else ():
        repository.manifests.setdefault(needed.digest, FetchedManifest(b"{}", needed.media_type, needed.digest))
    wish = Wish(
        image=source,
        policy=MergePolicy(),
        drop_missing_children=False,
        recopy=_never,
        seen=Sightings(ThreadPoolExecutor(1)),
        gate=Gate(source.reference, Conditions(forward_only="version"), age=source.age),
    )
    tags = [
        PlannedTag(reference=Reference("b.example", "app", tag), action="copied")
        for tag in order.sample(TAGS, len(TAGS))
    ]
    return [Member(str(tag.reference.tag), tag, TagMove(wish, repository, tag, MemoryIntents())) for tag in tags]


def push(source: SourceImage, repository: Any, locks: WaitingLocks, order: random.Random) -> dict[str, Moved]:
    """Move each tag for itself."""
    return {member.key: move_single_tag(member.move, locks) for member in moves(source, repository, order)}


def release_all(source: SourceImage, repository: Any, locks: WaitingLocks, order: random.Random) -> dict[str, Moved]:
    """Move all tags together."""
    members = moves(source, repository, order)
    with ThreadPoolExecutor(1) as executor:
        ended = Release(members, locks, Journal(), _never, executor).run(lambda *_: False)
    assert ended.stands
    return ended.moved


def _never(*asked: object) -> Any:
    raise DestinationError(f"{asked} is right")


@pytest.mark.parametrize("act", [push, release_all])
def test_the_newer_release_is_at_the_floating_tags_in_the_end(act: Callable[..., dict[str, Moved]]) -> None:
    """Rule 10.4."""
    backport, newer = release("1.9.9"), release("1.10.0")
    for seed in range(ROUNDS):
        order = random.Random(seed)
        repository, locks = MemoryRepository(), WaitingLocks()
        if order.random() < 0.5:
            repository.hold(index(image("0.1", "linux/amd64"), annotations={VERSION: "0.1"}))
        runs = [
            threading.Thread(target=act, args=(source, repository, locks, random.Random(order.random())))
            for source in order.sample((backport, newer), 2)
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert repository.tags == dict.fromkeys(TAGS, newer.digest), f"seed {seed}"
    for first, second, action in ((newer, backport, "skipped"), (backport, newer, "copied")):
        repository, locks = MemoryRepository(), WaitingLocks()
        act(first, repository, locks, random.Random(0))
        late = act(second, repository, locks, random.Random(0))
        assert {moved.report(tag).action for tag, moved in late.items()} == {action}
