"""A blob's way from its task to the socket is short enough to be followed by a reader."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import tasks
import workers
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.in_process import KeyLocks, LocalBlobLocations, LocalRuns, LocalSingleFlight
from tasks.coordination.local.sqlite import FileHashes
from tasks.registry.http.connection import Connection
from tasks.registry.registry_share import Visits
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.copy.copier import Copier
from tasks.transfer.copy.limits import CopyLimits
from tasks.transfer.lost_starts import Attempts
from tasks.transfer.plan.plan import Plan
from tasks.transfer.ports import BlobSharing
from tasks.transfer.steps.copy import CopyStep
from tests.support.images import image, layer
from tests.support.plans import planned_copy
from tests.support.registries import DistributionRegistry
from tests.support.stored import upload
from workers.observability.threads import ContextThreads

MOST_CALLS = 12
# The task itself, which Celery calls.
_TASK = 1
_OURS = tuple(str(Path(str(package.__file__)).parent) for package in (tasks, workers))


def calls(frame: FrameType | None) -> list[str]:
    """Return the calls of this program above a frame, the outermost first."""
    found: list[str] = []
    while frame is not None:
        # A comprehension is no call to whoever reads it.
        if frame.f_code.co_filename.startswith(_OURS) and not frame.f_code.co_name.startswith("<"):
            found.append(frame.f_code.co_qualname)
        frame = frame.f_back
    return found[::-1]


class Watched(ContextThreads):
    """Threads that keep the calls before each hand-over of work."""

    def __init__(self) -> None:
        super().__init__(2)
        self.before: list[list[str]] = []

    def submit(self, act: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        self.before.append(calls(sys._getframe(1)))
        return super().submit(act, *args, **kwargs)


def test_a_blob_reaches_the_socket_in_few_calls(
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways: dict[str, list[str]] = {}
    send = Connection.send

    def watched(self: Connection, *args: Any, **more: Any) -> None:
        way = calls(sys._getframe(1))
        if "SourceCopy.do" in way:
            ways[" ".join(way)] = way
        send(self, *args, **more)

    monkeypatch.setattr(Connection, "send", watched)
    made = image("linux/amd64", [layer(f"{name} {number}", 2_000_000) for number in range(2)])
    upload(registry_a.host, f"{name}/src", made, "1")
    hashes = FileHashes(tmp_path / "ledger.sqlite3", 60)
    ledger = HashLedger(hashes)
    ledger.accept("p", {}, "p")
    planned = planned_copy(
        made.digest,
        f"{registry_a.host}/{name}/src",
        tuple(f"{registry_b.host}/{name}/{each}" for each in ("one", "two")),
        media_type=made.media_type,
        size=len(made.manifest),
    )
    ledger.save_plan(Plan(push_id="p", created=1.0, items=[], copies=[planned]))
    runs, flights = LocalRuns(KeyLocks(), 1), LocalSingleFlight(KeyLocks(), 1)
    registries = Registries(RegistryConfiguration())
    with Watched() as threads:
        shared, limits = BlobSharing(LocalBlobLocations(), flights), CopyLimits(2, 2, 60, Visits())
        copier = Copier(registries, shared, threads, limits, threading.Event())
        step = CopyStep(ledger=ledger, copier=copier, runs=runs, attempts=Attempts(ledger, runs, 3))
        assert step.run("p", planned.digest, may_retry=lambda *_: False) is None
    registries.close()
    outcome = ledger.copies("p")[planned.digest]
    hashes.close()
    assert (outcome.errors, outcome.totals.blobs_copied, outcome.totals.blobs_mounted) == ({}, 3, 3)
    blobs = [way for way in ways.values() if "BlobPlacer.place" in way]
    assert {"BlobReader.connect", "BlobUpload._commit"} <= {call for way in blobs for call in way}
    before = max(map(len, threads.before))
    longest = max(blobs, key=len)
    assert _TASK + before + len(longest) <= MOST_CALLS, "\n".join([*max(threads.before, key=len), *longest])
