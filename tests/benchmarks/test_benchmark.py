"""The benchmark itself, on workloads of next to nothing: it measures what it says, and B holds what was pushed."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.measuring import RunFailedError, Sample, measure
from tests.benchmarks.peers import OURS, PEERS, Errand
from tests.benchmarks.report import figures_of, table
from tests.benchmarks.rounds import Row, check, count_requests, errand_of, in_turn, run_rounds, source_of
from tests.benchmarks.startup import Startup
from tests.benchmarks.storage import store
from tests.benchmarks.workloads import KIBIBYTE, MEBIBYTE, PLATFORMS, WORKLOADS, Copy, Placed, Workload, multi_arch
from tests.support.registries import DistributionRegistry, Logged
from tests.support.stored import Stored

_STARTUP = {
    "imports": {"wall": 0.5, "cpu": 0.4},
    "version": {"wall": 0.1, "cpu": 0.1},
    "idle": {"wall": 1.0, "cpu": 0.6},
    "modules": 900,
}


def small(**more: object) -> Workload:
    def at_a() -> Iterator[Placed]:
        yield Placed("app/image", ("1.0", "latest"), multi_arch("small", PLATFORMS[:2], 2, KIBIBYTE))

    options: dict[str, object] = {
        "name": "W1",
        "title": "small",
        "at_a": at_a,
        "copies": (Copy("app/image:1.0", {"one/image": ("1.0", "latest"), "two/image": ("1.0", "latest")}),),
        "content_bytes": 4 * KIBIBYTE,
        "syncs": True,
    }
    return Workload(**(options | more))  # type: ignore[arg-type]


def no_start() -> Sample:
    return Sample(wall=0.0, cpu=0.0, peak_bytes=0)


def test_storage_is_written_as_the_registry_reads_it() -> None:
    placed = Placed("app/image", ("1", "2"), multi_arch("stored", PLATFORMS[:2], 2, KIBIBYTE))
    registry = DistributionRegistry()
    store(registry.storage, placed)
    with registry:
        stored = Stored(registry.host)
        assert stored.tags("app/image") == ["1", "2"]
        assert placed.node.digest in stored.holds("app/image", "2")


@pytest.mark.parametrize("name", [peer.name for peer in PEERS.values() if peer.present])
def test_a_peer_does_its_errand(name: str) -> None:
    (row,) = run_rounds(small(), [PEERS[name]], 1, no_start, lambda _: None)
    (sample,) = row.samples
    assert sample.wall > 0
    assert sample.cpu > 0
    assert sample.peak_bytes > MEBIBYTE
    # The list of blobs at A is the same for all: two configurations and four layers.
    assert sum(count for kind, count in row.requests["A"].items() if kind.startswith("GET blob")) >= 6
    assert row.requests["B"]["PUT manifest by tag 201"] >= 4
    # The warm-up, and the round.
    assert len(row.more["load"]) == 2


def test_a_push_is_counted_without_the_one_before_it_and_over_a_delay() -> None:
    (row,) = run_rounds(small(again=True, delay=1.0), [PEERS[OURS]], 1, no_start, lambda _: None)
    assert not any(kind.startswith("PUT") for kind in row.requests["B"])


def test_content_is_at_b_before_a_push_that_merges() -> None:
    kept = multi_arch("kept", ("linux/s390x",), 1, KIBIBYTE)
    workload = small(at_b=lambda: iter([Placed("one/image", ("1.0",), kept)]), merges=True)
    with source_of(workload) as a, errand_of(workload, a) as (errand, b):
        measure(PEERS[OURS].prepare(errand) or [], os.environ, errand.folder / "log")
        _, _, content = Stored(b.host).manifest("one/image", "1.0")
        assert len(json.loads(content)["manifests"]) == 3
    assert PEERS["skopeo"].note(workload) == "overwrites instead of merging"


def test_a_peer_that_has_no_command_for_a_workload_says_so() -> None:
    (row,) = run_rounds(small(syncs=False), [PEERS["skopeo sync"]], 1, no_start, lambda _: None)
    assert (row.samples, row.note) == ([], "has no command for it")


def test_a_tag_that_is_missing_fails_the_run() -> None:
    workload = small()
    with source_of(workload) as a, errand_of(workload, a) as (_, b), pytest.raises(RunFailedError, match="left out"):
        check(workload, a, b, merges=True)


def test_a_tag_of_other_content_fails_the_run() -> None:
    other = multi_arch("other", ("linux/s390x",), 1, KIBIBYTE)
    workload = small(at_b=lambda: iter([Placed("one/image", ("1.0",), other)]), merges=True)
    with source_of(workload) as a, errand_of(workload, a) as (errand, b):
        measure(PEERS[OURS].prepare(errand) or [], os.environ, errand.folder / "log")
        check(workload, a, b, merges=True)
        # Merged it is not the source's own, which is what a peer that overwrites should have left.
        with pytest.raises(RunFailedError, match=r"left out one/image:1\.0$"):
            check(workload, a, b, merges=False)


def test_each_round_begins_with_another_peer() -> None:
    peers = [PEERS[name] for name in ("crane", "oras", "regctl")]
    orders = [[peer.name for peer in in_turn(peers, number)] for number in range(4)]
    assert [order[0] for order in orders] == ["crane", "oras", "regctl", "crane"]
    assert {frozenset(order) for order in orders} == {frozenset({"crane", "oras", "regctl"})}


@pytest.mark.parametrize("name", ["crane", "oras", "regctl", "regsync", "skopeo"])
def test_a_rival_copies_once_and_then_within_b(name: str, tmp_path: Path) -> None:
    errand = Errand(small(), "a.example", "b.example", tmp_path)
    prepared = PEERS[name].prepare(errand)
    assert prepared is not None
    texts = [path.read_text() for path in sorted(tmp_path.iterdir())]
    assert sum(text.count("a.example/app/image:1.0") for text in texts) == (2 if name == "skopeo" else 1)
    assert sum(text.count("b.example/one/image:1.0") for text in texts) >= 2


def test_a_command_is_measured_with_its_children_and_without_its_parent(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    ballast = bytearray(os.urandom(1 << 20) * 300)
    sample = measure([sys.executable, "-c", script], os.environ, tmp_path / "log")
    assert sample.cpu >= 0.3
    assert sample.peak_bytes < len(ballast) / 2


def test_a_command_that_fails_shows_its_output(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="bad luck"):
        measure([sys.executable, "-c", "raise SystemExit('bad luck')"], os.environ, tmp_path / "log")


def test_the_start_of_the_command_is_measured_apart_from_its_work(tmp_path: Path) -> None:
    startup = Startup(tmp_path)
    medians = startup.medians(1)
    assert startup.modules > 200
    assert all(medians[kind]["cpu"] > 0 for kind in ("imports", "version", "idle"))


def test_requests_are_counted_by_kind() -> None:
    logged = [
        Logged("GET", "/v2/", 200),
        Logged("HEAD", "/v2/a/manifests/1", 404),
        Logged("GET", "/v2/a/manifests/sha256:1", 200),
        Logged("POST", "/v2/a/blobs/uploads/", 201, "mount=sha256:1&from=b"),
        *[Logged("POST", "/v2/a/blobs/uploads/", 202)] * 2,
        Logged("HEAD", "/v2/a/blobs/sha256:1", 200),
    ]
    assert count_requests(logged) == {
        "POST upload 202": 2,
        "GET base 200": 1,
        "HEAD manifest by tag 404": 1,
        "GET manifest by digest 200": 1,
        "POST mount 201": 1,
        "HEAD blob 200": 1,
    }


def rows() -> list[Row]:
    def samples(*walls: float) -> list[Sample]:
        return [Sample(wall=wall, cpu=wall / 2, peak_bytes=50 * MEBIBYTE) for wall in walls]

    return [
        Row(
            "W1",
            OURS,
            samples=samples(1.5, 1.4, 2.5),
            starts=samples(0.5, 0.4, 0.6),
            requests={"A": {"x": 2}, "B": {"y": 3, "z": 4}},
        ),
        Row("W1", "skopeo", "overwrites instead of merging", samples=samples(4.0)),
        Row("W1", "crane", samples=samples(2.0)),
        Row("W1", "skopeo sync", "has no command for it"),
    ]


def test_ratios_are_those_of_whole_commands() -> None:
    ours, skopeo, crane = figures_of(rows())
    assert (ours.wall, ours.ratio, ours.start, ours.start_cpu) == (1.5, 0.75, 0.5, 0.25)
    assert (ours.lowest, ours.highest, ours.requests_a, ours.requests_b) == (1.4, 2.5, 2, 7)
    assert (skopeo.ratio, skopeo.start, crane.ratio) == (2.0, None, 1.0)


def test_the_table_names_every_peer_and_why_one_has_no_figures() -> None:
    shown = table(rows(), figures_of(rows()), _STARTUP)
    assert "interpreter and imports 0.50 s" in shown
    assert WORKLOADS["W1"].title in shown
    assert [line[:12].strip() for line in shown.splitlines()[4:]] == [OURS, "skopeo", "crane", "skopeo sync"]
    assert "has no command for it" in shown
    assert "overwrites instead of merging" in shown
