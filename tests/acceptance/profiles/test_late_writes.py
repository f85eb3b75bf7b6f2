"""A writer that stood still between its look at the lock and its write loses nothing (BEHAVIOUR 7.6).

The write of one push is held back, as that of a worker that stands still; others hold the tag meanwhile, and write it.
Then the write lands. All of this happens in one thread, and at the same places each time.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tasks.errors import TagConflict
from tasks.oci.digest import Digest
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries, Repository
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.plan.decide import Current
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.moved import Moved
from tasks.transfer.publish.single_tag import move_single_tag
from tasks.transfer.publish.tag import TagMove
from tests.acceptance.profiles.wishes import wish
from tests.support import images
from tests.support.images import Index
from tests.support.profiles import profiles
from tests.support.profiles.profile import AccessRules, Profile
from tests.support.profiles.server import ProfileRegistry
from tests.support.tag_locks import MemoryTagLocks
from tests.unit.registry.clients import QUICK

PROFILES = [
    replace(profile, access=AccessRules())
    for profile in (profiles.QUAY, profiles.ZOT, profiles.DISTRIBUTION_2_8, profiles.STRICT)
]
Between = Callable[[], Any]


class HeldBack:
    """A repository whose write of the tag waits for `between`; everything else is the real client's."""

    def __init__(self, real: Repository, between: Between) -> None:
        self._real = real
        self._between: Between | None = between

    def push_manifest(self, reference: str, content: bytes, media_type: str, *, over: Digest | None = None) -> None:
        if reference == "1" and self._between is not None:
            between, self._between = self._between, None
            between()
        self._real.push_manifest(reference, content, media_type, over=over)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __str__(self) -> str:
        return str(self._real)


@dataclass
class NotedIntents:
    """The intents of one push, as the ledger keeps them."""

    noted: TagIntent | None = None
    replaced: list[Current] = field(default_factory=list)
    push_id: str = "p"

    def read(self) -> TagIntent | None:
        return self.noted

    def note(self, intent: TagIntent, replaced: Current | None, known: TagIntent | None = None) -> None:
        self.noted = intent
        if replaced is not None:
            self.replaced.append(replaced)

    def ensure_open(self) -> None:
        return

    def ensure_settled(self) -> None:
        return

    def need(self, tag: str) -> bool:
        del tag
        return False

    give_up = is_shared = is_needed = need

    def ensure_wanted(self) -> None:
        pass


class Race:
    """One tag of a registry, and pushes that move it."""

    def __init__(self, registry: ProfileRegistry) -> None:
        self.registry = registry
        self.locks = MemoryTagLocks()
        self.repository = Registries(RegistryConfiguration(limits=QUICK)).repository(
            registry.host, "ns/app", "destination", push=True
        )

    def push(self, source: Index, between: Between | None = None) -> Moved:
        """Move the tag to a source whose images are there already; `between` comes before the write."""
        self._copy(source)
        reference = Reference(self.registry.host, "ns/app", "1")
        real: Any = self.repository if between is None else HeldBack(self.repository, between)
        planned = PlannedTag(reference=reference, action="merged", old_digest=Digest("sha256:somewhat"))
        return move_single_tag(TagMove(wish(source), real, planned, NotedIntents()), self.locks)

    def platforms(self) -> set[str]:
        repository = self.registry.store.repositories["ns/app"]
        found = json.loads(repository.manifests[repository.tags["1"]].content)["manifests"]
        assert self.registry.lacks("ns/app", "1") == []
        return {each["platform"]["architecture"] for each in found}

    def _copy(self, source: Index) -> None:
        """Put the images of a source where copies put them: by their digests, held by nothing for now."""
        for child in source.members:
            self.registry.put("ns/app", child)


@pytest.fixture(params=PROFILES, ids=lambda profile: profile.name)
def race(request: pytest.FixtureRequest) -> Iterator[Race]:
    profile: Profile = request.param
    with ProfileRegistry(profile) as registry:
        registry.store.create("ns/app")
        yield Race(registry)


def made(*architectures: str) -> Index:
    return images.index([images.image(f"linux/{each}") for each in architectures])


def test_a_late_write_over_a_new_tag_is_merged_with_what_it_replaced(race: Race) -> None:
    """Rule 7.6: the registry may serve the replaced manifest no longer."""
    race.push(made("amd64"), between=lambda: race.push(made("arm64")))
    assert race.platforms() == {"amd64", "arm64"}


def test_a_late_write_over_a_merge_loses_none_of_its_platforms(race: Race) -> None:
    """Rule 7.6."""
    race.push(made("s390x"))
    race.push(made("amd64"), between=lambda: race.push(made("arm64")))
    assert race.platforms() == {"amd64", "arm64", "s390x"}


def test_a_push_that_finds_the_late_write_of_another_mends_it(race: Race) -> None:
    """Rule 7.6: whoever comes first, even if the late writer never wakes up."""

    class Killed(BaseException):
        pass

    def others_come() -> None:
        race.push(made("arm64"))

    late = made("amd64")

    def land_and_die() -> None:
        others_come()
        race.repository.push_manifest("1", late.manifest, late.media_type)
        raise Killed

    with pytest.raises(Killed):
        race.push(late, between=land_and_die)
    race.push(made("ppc64le"))
    assert race.platforms() >= {"arm64", "ppc64le"}


def test_a_late_write_over_what_another_push_found_right_loses_nothing_of_it(race: Race) -> None:
    """Rule 7.6: the push that reported the tag as unchanged wrote nothing, but someone else had."""

    def others_come() -> None:
        race.registry.put("ns/app", made("arm64", "s390x"), "1")
        assert race.push(made("arm64")).intent.action == "unchanged"

    race.push(made("amd64"), between=others_come)
    assert race.platforms() == {"amd64", "arm64", "s390x"}


def test_a_late_write_over_a_manifest_that_nobody_can_write_again_is_a_conflict(race: Race) -> None:
    """Rule 7.6: never success; where the registry still has it, nothing is lost either."""

    def write_and_forget() -> None:
        race.push(made("arm64"))
        race.locks.written.clear()

    if race.registry.profile.manifests.untagged == "stay":
        race.push(made("amd64"), between=write_and_forget)
        assert race.platforms() == {"amd64", "arm64"}
        return
    with pytest.raises(TagConflict, match="late write"):
        race.push(made("amd64"), between=write_and_forget)
