"""A push that the watchdog gives up leaves no half of a release behind (BEHAVIOUR 7.4, 10.1)."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.in_process import KeyLocks, LocalRuns
from tasks.coordination.local.sqlite import FileHashes
from tasks.errors import LockUnavailable, PushStalled, ReleaseUnsettled, Retry
from tasks.oci.digest import parse_digest
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.attempts import Attempts
from tasks.transfer.plan.plan import Plan
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.delivery import Publishing
from tasks.transfer.publish.journal import Direction
from tasks.transfer.publish.records import LedgerJournal
from tasks.transfer.steps.publish import PublishStep
from tests.support import images
from tests.support.plans import planned_tag, resolved_item
from tests.support.profiles import profiles
from tests.support.profiles.server import ProfileRegistry
from tests.support.tag_locks import MemoryTagLocks
from tests.unit.registry.clients import QUICK

TAGS = ("1", "2", "3")
OLD, NEW, ARM = (
    images.index([images.image(platform, [images.layer(word, 100)])])
    for platform, word in (("linux/amd64", "old"), ("linux/amd64", "new"), ("linux/arm64", "arm"))
)
# Nothing is copied.
NO_COPIER: Any = None


class Listener:
    """A consumer of events."""

    listens = True

    def __init__(self) -> None:
        self.heard: list[str] = []

    def tag_moved(self, moved: Any) -> None:
        self.heard.append(moved.tag)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[HashLedger]:
    hashes = FileHashes(tmp_path / "ledger.sqlite3", 60)
    yield HashLedger(hashes)
    hashes.close()


@pytest.mark.parametrize(
    ("direction", "moved", "held", "action"),
    [
        (None, (), OLD, "failed"),
        ("forward", ("1", "2"), OLD, "failed"),
        ("forward", TAGS, OLD, "failed"),
        ("back", ("1",), OLD, "failed"),
        ("stands", TAGS, NEW, "copied"),
    ],
)
def test_a_release_that_is_given_up_is_wholly_old_unless_it_stands(
    ledger: HashLedger, direction: Direction | None, moved: tuple[str, ...], held: images.Index, action: str
) -> None:
    """Rule 10.1."""
    listener = Listener()
    with ProfileRegistry(profiles.DISTRIBUTION_3_1) as registry, publishing(ledger, listener) as step:
        for tag in TAGS:
            registry.put("ns/app", OLD, tag)
        for tag in moved:
            registry.put("ns/app", NEW, tag)
        plan = begun(ledger, registry.host, direction)
        report = step.give_up(plan, PushStalled("No progress."), may_retry=lambda *_: False)
        assert registry.tags("ns/app") == dict.fromkeys(TAGS, held.digest)
    assert [tag.action for tag in report.items[0].tags] == [action] * len(TAGS)
    assert {tag.error and tag.error.code for tag in report.items[0].tags} == {None if held is NEW else "stalled"}
    assert sorted(listener.heard) == (list(TAGS) if held is NEW else [])


def test_a_release_that_is_given_up_waits_until_it_can_be_put_back(ledger: HashLedger) -> None:
    """Rule 10.1: no half of it stays because its registry does not serve just then."""
    with ProfileRegistry(profiles.DISTRIBUTION_3_1) as registry, publishing(ledger, Listener()) as step:
        registry.put("ns/app", OLD, "2")
        registry.put("ns/app", OLD, "3")
        registry.put("ns/app", NEW, "1")
        plan = begun(ledger, registry.host, "forward")
        with registry.maintenance(), pytest.raises(ReleaseUnsettled) as raised:
            step.give_up(plan, PushStalled("No progress."), may_retry=lambda error, *_: error.retry is Retry.WAIT)
        assert raised.value.retry_after is not None
        assert ledger.report("p") is None
        step.give_up(plan, PushStalled("No progress."), may_retry=lambda *_: False)
        assert registry.tags("ns/app") == dict.fromkeys(TAGS, OLD.digest)


def test_a_single_tag_is_not_built_on_half_of_a_release(ledger: HashLedger) -> None:
    """Rule 10.1: the worker of the release is gone, and what it moved goes back before another push moves the tag."""
    with ProfileRegistry(profiles.DISTRIBUTION_3_1) as registry, publishing(ledger, Listener()) as step:
        for tag, held in zip(TAGS, (NEW, OLD, OLD), strict=True):
            registry.put("ns/app", held, tag)
        for image in ARM.members:
            registry.put("ns/app", image)
        plan = begun(ledger, registry.host, "forward")
        LedgerJournal(ledger, "p", "push").claim([str(tag.reference) for tag in plan.items[0].tags])
        begun(ledger, registry.host, None, push_id="q", source=ARM, tags=TAGS[:1])
        with pytest.raises(LockUnavailable, match="release of the push p,") as waited:
            step.run("q", may_retry=lambda error, *_: error.retry is Retry.WAIT)
        assert waited.value.retry is Retry.WAIT
        step.give_up(plan, PushStalled("No progress."), may_retry=lambda *_: False)
        (moved,) = step.run("q", may_retry=lambda *_: False).items[0].tags
        assert (moved.action, moved.old_digest, moved.kept_platforms) == ("merged", OLD.digest, ["linux/amd64"])
        assert registry.lacks("ns/app", "1") == []


@contextmanager
def publishing(ledger: HashLedger, listener: Listener) -> Iterator[PublishStep]:
    runs = LocalRuns(KeyLocks(), 0.1)
    with ThreadPoolExecutor(2) as executor:
        parts = Publishing(
            registries=Registries(RegistryConfiguration(limits=QUICK)),
            ledger=ledger,
            locks=MemoryTagLocks(),
            copier=NO_COPIER,
            announcer=listener,
            executor=executor,
            cancelled=threading.Event(),
            attempts=Attempts(ledger, runs, 3),
        )
        yield PublishStep(parts=parts, runs=runs, clock=lambda: 1.0)


def begun(
    ledger: HashLedger,
    host: str,
    direction: Direction | None,
    push_id: str = "p",
    source: images.Index = NEW,
    tags: Sequence[str] = TAGS,
) -> Plan:
    """Return a plan whose release has come so far; the push `q` moves its tags one by one."""
    planned = [planned_tag(f"{host}/ns/app:{tag}", old_digest=parse_digest(OLD.digest)) for tag in tags]
    item = resolved_item(*planned, digest=parse_digest(source.digest), media_type=source.media_type)
    plan = Plan(push_id=push_id, created=0.0, items=[item], copies=[], atomic="push" if push_id == "p" else None)
    ledger.save_plan(plan)
    for node in (OLD, source):
        ledger.keep_content(push_id, parse_digest(node.digest), node.manifest)
    if direction is not None:
        for tag in planned:
            intent = TagIntent(
                action="copied", old_digest=OLD.digest, old_media_type=OLD.media_type, new_digest=NEW.digest
            )
            ledger.record_intent(push_id, str(tag.reference), intent)
        ledger.note_release(push_id, "push", direction)
    return plan
