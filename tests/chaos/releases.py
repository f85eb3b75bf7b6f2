"""Releases of many tags in a storm, and what must be true of each of them afterwards (BEHAVIOUR 10.1)."""

import base64
import json
import random
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs

import redis

from tests.chaos.site import PREFIX, Report, Site, item, small_index
from tests.support.faults import Fault, Kind
from tests.support.images import Index
from tests.support.profiles.server import ProfileRegistry
from tests.support.stored import Stored, upload

EVENTS = "imagepusher.events"
SOURCES, MOST_ITEMS = 8, 3
MOVED = frozenset({"copied", "merged", "unchanged"})
_MANIFEST = re.compile(r"^/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)$")

# Weights, and what the registry does to one tag of a release; None is nothing.
_HARMS: tuple[tuple[int, tuple[Fault, ...]], ...] = (
    (12, ()),
    (4, (Fault(Kind.REFUSED, "PUT", status=403, times=1_000),)),
    (2, (Fault(Kind.REFUSED, "PUT", status=503, times=6),)),
    (2, (Fault(Kind.DENIED, "PUT", status=500),)),
    (1, (Fault(Kind.DENIED, "PUT", status=500, times=8),)),
    (2, (Fault(Kind.RESET_ANSWER, "PUT", at=0.0),)),
    (1, (Fault(Kind.STALL_ANSWER, "PUT", at=0.0),)),
    (1, (Fault(Kind.STALL_REQUEST, "PUT"),)),
    (1, (Fault(Kind.LIMITED, "PUT", seconds=1, times=2),)),
    (1, (Fault(Kind.LIMITED, "PUT", retry_after="none", times=12),)),
)
# Beside the refusal of another tag: what happens when a tag is put back. The first write of an old tag passes.
_STUCK: tuple[tuple[Fault, ...], ...] = (
    (Fault(Kind.REFUSED, "PUT", status=403, nth=2), Fault(Kind.REFUSED, "DELETE", status=403)),
    (Fault(Kind.REFUSED, "PUT", status=503, nth=2, times=6), Fault(Kind.REFUSED, "DELETE", status=503, times=6)),
    (Fault(Kind.DENIED, "PUT", status=500, nth=2), Fault(Kind.DENIED, "DELETE", status=500)),
    (Fault(Kind.STALL_ANSWER, "PUT", nth=2, at=0.0), Fault(Kind.STALL_ANSWER, "DELETE", at=0.0)),
)


class Refusals:
    """A plan of a faulty proxy: faults for chosen tags, by `repository:tag`."""

    def __init__(self) -> None:
        self._faults: dict[str, tuple[Fault, ...]] = {}
        self._seen: Counter[tuple[str, str]] = Counter()
        self._guard = threading.Lock()

    def __str__(self) -> str:
        return f"faults at {len(self._faults)} tags"

    def add(self, place: str, *faults: Fault) -> None:
        self._faults[place] = faults

    def choose(self, method: str, target: str, *, authorized: bool) -> Fault | None:
        del authorized
        with self._guard:
            places = list(_places(target))
            self._seen.update((place, method) for place in places)
            due = (
                fault
                for place in places
                for fault in self._faults.get(place, ())
                if fault.method == method and fault.nth <= self._seen[place, method] < fault.nth + fault.times
            )
            return next(due, None)


def _places(target: str) -> Iterator[str]:
    """Yield the tags, as `repository:tag`, that a request for a manifest names: one, or several beside a digest."""
    path, _, query = target.partition("?")
    found = _MANIFEST.match(path)
    if found is None:
        return
    tags = parse_qs(query).get("tag", []) if ":" in found["reference"] else [found["reference"]]
    yield from (f"{found['name']}:{tag}" for tag in tags)


@dataclass
class Release:
    """One atomic push: `wanted` is the digest of each tag, None for one that is merged; `peer` shares some tags."""

    repository: str
    atomic: str
    items: list[dict[str, Any]]
    parts: list[dict[str, str | None]]
    peer: "Release | None" = None
    push_id: str = ""

    @property
    def wanted(self) -> dict[str, str | None]:
        return {place: digest for part in self.parts for place, digest in part.items()}


class Storm:
    """Releases of 5 to 30 tags, each in a repository of its own or with one that shares some of its tags."""

    def __init__(self, site: Site, name: str, host: str, drawn: random.Random, plan: Refusals) -> None:
        self.site = site
        self.releases: list[Release] = []
        self.before: dict[str, str] = {}
        self.foreign: defaultdict[str, set[str]] = defaultdict(set)
        self._name = name
        self._host = host
        self._drawn = drawn
        self._plan = plan
        self._sources = [
            (site.put_a(f"{name}/src", source, f"s{number}"), source)
            for number, source in enumerate(
                small_index(f"{name}-{number}", "amd64", "arm64") for number in range(SOURCES)
            )
        ]

    def send(self) -> list[Release]:
        """Send a release, or two at once that share tags."""
        number = len(self.releases)
        repository = f"{self._name}/r{number}"
        count = self._drawn.randint(5, 30)
        tags = [f"t{place}" for place in range(count)]
        self._fill(repository, tags)
        sources = self._drawn.sample(self._sources, min(2 * MOST_ITEMS, SOURCES))
        alone = self._drawn.random() < 0.75
        # What the other one of two makes of a tag is only known of images that are copied as they are.
        made = [self._release(repository, tags, sources[:MOST_ITEMS], merges=alone)]
        if not alone:
            shared = self._drawn.sample(tags, self._drawn.randint(1, count))
            own = [f"u{place}" for place in range(max(5 - len(shared), 1))]
            made.append(self._release(repository, [*shared, *own], sources[MOST_ITEMS:], merges=False))
            made[0].peer, made[1].peer = made[1], made[0]
        for release in made:
            self._harm(release)
            release.push_id = self.site.send({"items": release.items, "atomic": release.atomic})
        self.releases += made
        return made

    def write_foreign(self) -> None:
        """Let someone else write a tag of one of the last releases."""
        release = self._drawn.choice(self.releases[-4:])
        place = self._drawn.choice(list(release.wanted))
        repository, _, tag = place.rpartition(":")
        theirs = small_index(f"{self._name}-theirs-{len(self.foreign)}-{place}", "s390x", size=100)
        self.foreign[place].add(theirs.digest)
        upload(self.site.b.host, repository, theirs, tag)

    def _fill(self, repository: str, tags: Sequence[str]) -> None:
        """Let about half of the tags hold something that no other repository has."""
        olds = [small_index(f"{repository}-old-{number}", "ppc64le", size=100) for number in range(2)]
        for tag in tags:
            if self._drawn.random() < 0.6:
                old = self._drawn.choice(olds)
                self.before[f"{repository}:{tag}"] = self._put(repository, old, tag)

    def _put(self, repository: str, node: Index, tag: str) -> str:
        if isinstance(self.site.b, ProfileRegistry):
            return self.site.b.put(repository, node, tag)
        return upload(self.site.b.host, repository, node, tag)

    def _release(
        self, repository: str, tags: Sequence[str], sources: Sequence[tuple[str, Index]], *, merges: bool
    ) -> Release:
        chosen = sources[: self._drawn.randint(1, len(sources))]
        parts: list[list[str]] = [[] for _ in chosen]
        for tag in self._drawn.sample(tags, len(tags)):
            self._drawn.choice(parts).append(tag)
        items, wanted = [], []
        for (reference, source), part in zip(chosen, parts, strict=True):
            if part:
                merge = merges and self._drawn.random() < 0.2
                items.append(item(reference, {f"{self._host}/{repository}": part}, merge=merge))
                wanted.append({f"{repository}:{tag}": None if merge else source.digest for tag in part})
        return Release(repository, self._drawn.choice(("push", "push", "item")), items, wanted)

    def _harm(self, release: Release) -> None:
        (faults,) = self._drawn.choices([harm for _, harm in _HARMS], [weight for weight, _ in _HARMS])
        if faults:
            refused, other = self._drawn.sample(list(release.wanted), 2)
            self._plan.add(refused, *faults)
            if faults[0].status == 403 and faults[0].kind is Kind.REFUSED and self._drawn.random() < 0.4:
                self._plan.add(other, *self._drawn.choice(_STUCK))


@dataclass
class Verdict:
    """What a storm left behind: `faults` are all that should not be."""

    faults: list[str] = field(default_factory=list)
    new: int = 0
    old: int = 0


def judge(storm: Storm, reports: Mapping[str, Report]) -> Verdict:
    """Compare each release with its report, with what B holds, and with the events."""
    verdict = Verdict()
    told = events(storm.site.results)
    stored = Stored(storm.site.b.host)
    held: dict[str, dict[str, str]] = {}
    for release in storm.releases:
        name = release.repository
        if name not in held:
            held[name] = {f"{name}:{tag}": str(stored.digest(name, tag)) for tag in stored.tags(name)}
        _Judged(storm, release, reports[release.push_id], held[name], told.get(release.push_id, {}), verdict).judge()
    for name, found in held.items():
        for shown in found:
            try:
                stored.holds(name, shown.rpartition(":")[2])
            except AssertionError as error:
                verdict.faults.append(str(error))
    for first, second in ((each, each.peer) for each in storm.releases):
        if second is None or not all(_stands(each, reports) for each in (first, second)):
            continue
        shared = (first.wanted.keys() & second.wanted.keys()) - storm.foreign.keys()
        winners = {held[first.repository].get(place) == first.wanted[place] for place in shared}
        if len(winners) > 1:
            verdict.faults.append(f"{first.push_id} and {second.push_id} are mixed in {first.repository}")
    return verdict


def _stands(release: Release, reports: Mapping[str, Report]) -> bool:
    return release.atomic == "push" and reports[release.push_id]["state"] == "succeeded"


@dataclass
class _Judged:
    """One release; `held` are the tags of its repository, `told` the digests that its events name for each tag."""

    storm: Storm
    release: Release
    report: Report
    held: Mapping[str, str]
    told: Mapping[str, set[str]]
    verdict: Verdict

    def judge(self) -> None:
        tags = [{self._place(tag): tag for tag in part["tags"]} for part in self.report["items"]]
        assert [part.keys() for part in tags] == [part.keys() for part in self.release.parts]
        whole = {place: tag for part in tags for place, tag in part.items()}
        groups = [whole] if self.release.atomic == "push" else tags
        for group in groups:
            stands = all(tag["action"] in MOVED for tag in group.values())
            for place, told in group.items():
                (self._moved if stands else self._stayed)(place, told)
            self.verdict.new += stands
            self.verdict.old += not stands
        if (self.report["state"] == "succeeded") != all(tag["action"] in MOVED for tag in whole.values()):
            self._fault("", f"the push is {self.report['state']}")
        if self.release.peer is None:
            self._nothing_else()

    def _moved(self, place: str, tag: Mapping[str, Any]) -> None:
        new, found = tag["new_digest"], self.held.get(place)
        if found not in {new, *self._others(place)}:
            self._fault(place, f"stands and holds {found}", tag)
        if self.release.wanted[place] not in {None, new}:
            self._fault(place, "is another image", tag)
        if tag["action"] != "unchanged" and self.told.get(place) != {new}:
            self._fault(place, f"events tell {self.told.get(place)}", tag)

    def _stayed(self, place: str, tag: Mapping[str, Any]) -> None:
        found = self.held.get(place)
        if found not in {self.storm.before.get(place), *self._others(place)}:
            self._fault(place, f"does not stand and holds {found}", tag)
        if place in self.told:
            self._fault(place, f"events tell {self.told[place]} of a tag that did not stay", tag)
        if tag["error"] is None:
            self._fault(place, "has no error", tag)
        if tag["new_digest"] != found and not self._others(place):
            self._fault(place, f"holds {found}", tag)

    def _nothing_else(self) -> None:
        """Check that no tag is there that nobody wanted: protective tags of merges that stand may be."""
        known = self.release.wanted.keys() | self.storm.before.keys()
        merged = {tag["new_digest"] for part in self.report["items"] for tag in part["tags"] if tag["action"] in MOVED}
        for place in self.held.keys() - known:
            if self.held[place] not in merged:
                self._fault(place, "is left behind")

    def _others(self, place: str) -> set[str | None]:
        """Return what somebody else may have put there: someone of the street, or the release that shares tags."""
        peer = self.release.peer
        shared = {peer.wanted[place]} if peer is not None and place in peer.wanted else set()
        return {*self.storm.foreign.get(place, ()), *shared}

    def _place(self, tag: Mapping[str, Any]) -> str:
        return str(tag["reference"]).partition("/")[2]

    def _fault(self, place: str, what: str, tag: Mapping[str, Any] | None = None) -> None:
        told = {name: tag[name] for name in ("action", "old_digest", "new_digest", "error")} if tag else ""
        self.verdict.faults.append(f"{self.release.push_id} ({self.release.atomic}) {place} {what}: {told}")


def events(client: redis.Redis) -> dict[str, dict[str, set[str]]]:
    """Return the digests that events tell, by push and by `repository:tag`."""
    told: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for message in cast("Iterable[bytes]", client.lrange(f"{PREFIX}{EVENTS}", 0, -1)):
        event = json.loads(base64.b64decode(json.loads(message)["body"]))[0][0]
        told[event["push_id"]][event["reference"].partition("/")[2]].add(event["new_digest"])
    return told
