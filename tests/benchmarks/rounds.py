"""Rounds of one workload: all peers in turn, each with a registry B of its own that is empty."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import RunFailedError, Sample, cpu_of, measure
from tests.benchmarks.peers import OURS, Errand, Peer, environment_of
from tests.benchmarks.storage import store
from tests.benchmarks.workloads import TINY, Workload
from tests.support.delaying_proxy import DelayingProxy
from tests.support.images import Index, Node
from tests.support.registries import DistributionRegistry, Logged
from tests.support.stored import Stored

Say = Callable[[str], None]


@dataclass
class Row:
    """One peer's samples of one workload, and the requests of its last run by registry, method and kind."""

    workload: str
    peer: str
    note: str = ""
    samples: list[Sample] = field(default_factory=list)
    # What the start of the program alone took, right after each sample, where that is told apart (ours).
    starts: list[Sample] = field(default_factory=list)
    requests: dict[str, dict[str, int]] = field(default_factory=dict)
    # What belongs to some rows only, in JSON's types.
    more: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return asdict(self)


@contextmanager
def source_of(workload: Workload) -> Iterator[DistributionRegistry]:
    """Run registry A with the content of a workload."""
    registry = DistributionRegistry()
    for placed in chain([TINY], workload.at_a()):
        store(registry.storage, placed)
    with registry:
        yield registry


@contextmanager
def errand_of(workload: Workload, a: DistributionRegistry) -> Iterator[tuple[Errand, DistributionRegistry]]:
    """Restart A, run a B that holds only what the workload says, and put distance before both if it says so."""
    a.restart()
    b = DistributionRegistry()
    for placed in workload.at_b():
        store(b.storage, placed)
    with ExitStack() as running:
        running.enter_context(b)
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))

        def reached(host: str) -> str:
            return running.enter_context(DelayingProxy(host, workload.delay)).host if workload.delay else host

        yield Errand(workload, reached(a.host), reached(b.host), folder), b


def run_rounds(
    workload: Workload, peers: Sequence[Peer], rounds: int, start: Callable[[], Sample], say: Say
) -> list[Row]:
    """Warm up, then measure `rounds` times, each round beginning with another peer.

    A peer that cannot do the workload has a row without samples.
    """
    rows = {peer.name: Row(workload.name, peer.name, peer.note(workload)) for peer in peers}
    with source_of(workload) as a:
        for number in range(rounds + 1):
            for peer in in_turn(peers, number):
                sample = _run(workload, peer, a, rows[peer.name])
                if sample is not None and number > 0:
                    rows[peer.name].samples.append(sample)
                    rows[peer.name].starts += [start()] if peer.name == OURS else []
                    say(f"{workload.name} {peer.name}, round {number}: {sample.wall:.2f} s")
    return list(rows.values())


def in_turn(peers: Sequence[Peer], number: int) -> list[Peer]:
    """Return the peers in the order of one round: what runs first finds another machine than what runs last."""
    first = number % len(peers)
    return [*peers[first:], *peers[:first]]


def _run(workload: Workload, peer: Peer, a: DistributionRegistry, row: Row) -> Sample | None:
    with errand_of(workload, a) as (errand, b):
        command = peer.prepare(errand)
        if command is None:
            row.note = "has no command for it"
            return None
        environment = environment_of(errand.folder)
        log_path = errand.folder / "log"
        if workload.again:
            measure(command, environment, log_path)
        with watching(row, {"A": a, "B": b}):
            sample = measure(command, environment, log_path)
        check(workload, a, b, merges=peer.merges)
        return sample


@contextmanager
def watching(row: Row, registries: Mapping[str, DistributionRegistry]) -> Iterator[None]:
    """Note in a row what is asked of registries meanwhile, what CPU time that takes them, and the load before it."""
    row.more.setdefault("load", []).append(round(os.getloadavg()[0], 2))
    # A log lasts longer than the process that writes it.
    before = {name: len(registry.requests()) for name, registry in registries.items()}
    cpu = {name: cpu_of(registry.process.pid) for name, registry in registries.items()}
    yield
    row.more["cpu of registries"] = {
        name: round(cpu_of(registry.process.pid) - cpu[name], 2) for name, registry in registries.items()
    }
    row.requests = {name: count_requests(registry.requests()[before[name] :]) for name, registry in registries.items()}


def check(workload: Workload, a: DistributionRegistry, b: DistributionRegistry, *, merges: bool) -> None:
    """Raise RunFailedError unless each tag holds what it should: what is quick because it did nothing does not count.

    That is the digest of its source; merged, all entries of the source and of what was at B, which has other platforms.
    """
    at_a, at_b = Stored(a.host), Stored(b.host)
    before = {(placed.repository, tag): placed.node for placed in workload.at_b() for tag in placed.tags}
    wrong = []
    for copy in workload.copies:
        repository, _, tag = copy.source.partition(":")
        source = at_a.digest(repository, tag)
        for name, wanted in copy.references():
            kept = before.get((name, wanted)) if merges else None
            if kept is None:
                right = source is not None and at_b.digest(name, wanted) == source
            else:
                right = entries_of(at_b, name, wanted) >= entries_of(at_a, repository, tag) | _parts(kept)
            if not right:
                wrong.append(f"{name}:{wanted}")
    if wrong:
        raise RunFailedError(f"{workload.name} left out {', '.join(wrong)}")


def entries_of(stored: Stored, repository: str, tag: str) -> set[str]:
    """Return the digests of the entries of an index, none if it is not there."""
    status, _, content = stored.manifest(repository, tag)
    return {entry["digest"] for entry in json.loads(content)["manifests"]} if status == HTTPStatus.OK else set()


def _parts(node: Node) -> set[str]:
    return {member.digest for member in node.members} if isinstance(node, Index) else {node.digest}


def count_requests(logged: Sequence[Logged]) -> dict[str, int]:
    """Return how many requests there were of each kind, the most frequent first."""
    return dict(Counter(kind_of(each) for each in logged).most_common())


def kind_of(logged: Logged) -> str:
    """Return what a request is for, with its status."""
    path = logged.path
    if "/manifests/" in path:
        what = "manifest by digest" if "/manifests/sha256:" in path else "manifest by tag"
    elif "/blobs/uploads" in path:
        what = "mount" if "mount=" in logged.query else "upload"
    elif "/blobs/" in path:
        what = "blob"
    else:
        what = "base" if path == "/v2/" else "other"
    return f"{logged.method} {what} {logged.status}"
