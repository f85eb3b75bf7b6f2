"""A push that the watchdog gives up leaves no half of a release behind (BEHAVIOUR 7.4, 10.1)."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.in_process import KeyLocks, LocalRuns
from tasks.coordination.local.sqlite import FileHashes
from tasks.errors import LockUnavailable, PushStalled, ReleaseUnsettled, Retry
from tasks.oci.digest import Digest, parse_digest
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
from tasks.transfer.lost_starts import Attempts
from tasks.transfer.plan.decide import Current, MergePolicy, decide, protective_tags
from tasks.transfer.plan.plan import Plan
from tasks.transfer.ports import TagIntent
from tasks.transfer.publish.journal import Direction
from tasks.transfer.publish.parts import Publishing
from tasks.transfer.publish.records import LedgerJournal
from tasks.transfer.steps.publish import PublishStep
from tasks.transfer.steps.undo import UndoStep
from tests.acceptance.profiles.wishes import wish
from tests.support import images
from tests.support.plans import planned_tag, resolved_item
from tests.support.profiles import profiles
from tests.support.profiles.profile import TagRules
from tests.support.profiles.server import ProfileRegistry
from tests.support.tag_locks import MemoryTagLocks
from tests.unit.registry.clients import QUICK

TAGS = ("1", "2", "3")
OLD, NEW, ARM = (
    images.index([images.image(platform, [images.layer(word, 100)])])
    for platform, word in (("linux/amd64", "old"), ("linux/amd64", "new"), ("linux/arm64", "arm"))
)
MERGED = decide(wish(ARM).image, Current(Digest(OLD.digest), OLD.media_type, OLD.manifest), MergePolicy()).held
PROTECTIVE = {tag: next(protective_tags(tag, parse_digest(MERGED.digest))) for tag in TAGS}
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


def protected(ledger: HashLedger, registry: ProfileRegistry, push_id: str) -> Plan:
    """Let a release make the protective tags of its merges, and be killed before it begins; return its plan."""
    plan = begun(ledger, registry.host, None, push_id, ARM)
    registries = Registries(RegistryConfiguration(limits=QUICK))
    repository = registries.repository(registry.host, "ns/app", "destination", push=True)
    for image in ARM.members:
        registry.put("ns/app", image)
    for tag, protective in PROTECTIVE.items():
        ledger.note_need(f"{registry.host}/ns/app:{protective}", push_id)
        repository.push_manifest(protective, MERGED.content, MERGED.media_type)
        intent = TagIntent(
            action="merged",
            old_digest=Digest(OLD.digest),
            old_media_type=OLD.media_type,
            new_digest=MERGED.digest,
            protective_tag=protective,
            protective_tag_created=True,
        )
        ledger.record_intent(push_id, f"{registry.host}/ns/app:{tag}", intent)
    return plan


@pytest.mark.parametrize("deletes", [True, False])
@pytest.mark.parametrize("cancelled", [False, True])
def test_what_a_release_made_that_never_began_is_deleted_or_named(
    ledger: HashLedger, deletes: bool, cancelled: bool
) -> None:
    """Rule 4.8: a release that is given up, or cancelled, leaves no protective tag that its report does not name."""
    profile = profiles.STRICT if deletes else replace(profiles.STRICT, tags=TagRules(delete="none"))
    with ProfileRegistry(profile) as registry, publishing(ledger, Listener()) as step:
        for tag in TAGS:
            registry.put("ns/app", OLD, tag)
        plan = protected(ledger, registry, "p")
        if cancelled:
            ledger.mark_cancelled("p")
            report = step.run("p", may_retry=lambda *_: False)
        else:
            report = step.give_up(plan, PushStalled("No progress."), may_retry=lambda *_: False)
        left = {} if deletes else dict.fromkeys(PROTECTIVE.values(), MERGED.digest)
        assert registry.tags("ns/app") == dict.fromkeys(TAGS, OLD.digest) | left
    code = "cancelled_by_user" if cancelled else "stalled"
    assert {tag.error and tag.error.code for tag in report.items[0].tags} == {code}
    assert {tag.protective_tag for tag in report.items[0].tags} == set(left or {None})


def test_a_protective_tag_that_two_releases_share_goes_with_the_last_one(ledger: HashLedger) -> None:
    """Rule 4.8: both merged the same images; one goes back, the other stands and is taken back later."""
    with ProfileRegistry(profiles.STRICT) as registry, publishing(ledger, Listener()) as step:
        for tag in TAGS:
            registry.put("ns/app", OLD, tag)
        given_up = protected(ledger, registry, "p")
        begun(ledger, registry.host, None, "r", ARM)
        assert step.run("r", may_retry=lambda *_: False).state == "succeeded"
        made = ledger.intent("r", f"{registry.host}/ns/app:1")
        assert made is not None
        assert (made.new_digest, made.protective_tag) == (MERGED.digest, PROTECTIVE["1"])
        step.give_up(given_up, PushStalled("No progress."), may_retry=lambda *_: False)
        kept = dict.fromkeys(PROTECTIVE.values(), MERGED.digest)
        assert registry.tags("ns/app") == dict.fromkeys(TAGS, MERGED.digest) | kept
        undoing = UndoStep(registries=step.parts.registries, ledger=ledger, locks=step.parts.locks)
        assert undoing.run("p").tags == []
        assert registry.tags("ns/app") == dict.fromkeys(TAGS, MERGED.digest) | kept
        assert undoing.run("r").state == "succeeded"
        assert registry.tags("ns/app") == dict.fromkeys(TAGS, OLD.digest)


def test_a_retry_that_fails_puts_nothing_of_the_first_run_back(ledger: HashLedger) -> None:
    """Rules 6.5, 10.1: the release of an item stood, and consumers were told; its tags moved in another run."""
    with ProfileRegistry(profiles.STRICT) as registry, publishing(ledger, Listener()) as step:
        for tag in TAGS:
            registry.put("ns/app", OLD, tag)
        for image in NEW.members:
            registry.put("ns/app", image)
        begun(ledger, registry.host, None, "r", NEW)
        assert step.run("r", may_retry=lambda *_: False).state == "succeeded"
        ledger.reopen("r")
        begun(ledger, registry.host, None, "r", NEW)
        registry.put("ns/app", ARM, "3")
        registry.immutable = ("3",)
        assert step.run("r", may_retry=lambda *_: False).state == "failed"
        assert registry.tags("ns/app") == {"1": NEW.digest, "2": NEW.digest, "3": ARM.digest}
        undoing = UndoStep(registries=step.parts.registries, ledger=ledger, locks=step.parts.locks)
        assert [tag.action for tag in undoing.run("r").tags] == ["restored", "restored"]
        assert registry.tags("ns/app") == {"1": OLD.digest, "2": OLD.digest, "3": ARM.digest}


@pytest.mark.parametrize("refused", [None, "3"])
def test_what_a_release_replaces_keeps_a_tag_of_its_own_until_it_is_put_back(
    ledger: HashLedger, refused: str | None
) -> None:
    """Rules 6.6, 10.1: where the target says that its registry collects at once (`keep_replaced`)."""
    with ProfileRegistry(profiles.STRICT) as registry, publishing(ledger, Listener()) as step:
        for tag in TAGS:
            registry.put("ns/app", OLD, tag)
        for image in NEW.members:
            registry.put("ns/app", image)
        begun(ledger, registry.host, None, "r", NEW, keep_replaced=True)
        registry.immutable = () if refused is None else (refused,)
        report = step.run("r", may_retry=lambda *_: False)
        if refused is None:
            kept = {next(protective_tags(tag, Digest(OLD.digest), "replaced")): OLD.digest for tag in TAGS}
            assert registry.tags("ns/app") == dict.fromkeys(TAGS, NEW.digest) | kept
            undoing = UndoStep(registries=step.parts.registries, ledger=ledger, locks=step.parts.locks)
            assert undoing.run("r").state == "succeeded"
        assert (report.state, registry.tags("ns/app")) == (
            "failed" if refused else "succeeded",
            dict.fromkeys(TAGS, OLD.digest),
        )


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
            requests=executor,
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
    *,
    keep_replaced: bool = False,
) -> Plan:
    """Return a plan whose release has come so far; the push `q` moves its tags one by one."""
    planned = [planned_tag(f"{host}/ns/app:{tag}", old_digest=parse_digest(OLD.digest)) for tag in tags]
    item = resolved_item(*planned, digest=parse_digest(source.digest), media_type=source.media_type)
    plan = Plan(
        push_id=push_id,
        created=0.0,
        items=[item],
        copies=[],
        atomic=None if push_id == "q" else "push",
        keep_replaced=keep_replaced,
    )
    ledger.save_plan(plan)
    for node in (OLD, source):
        ledger.keep_content(push_id, parse_digest(node.digest), node.manifest)
    if direction is not None:
        for tag in planned:
            intent = TagIntent(
                action="copied",
                old_digest=Digest(OLD.digest),
                old_media_type=OLD.media_type,
                new_digest=Digest(NEW.digest),
            )
            ledger.record_intent(push_id, str(tag.reference), intent)
        ledger.note_release(push_id, "push", direction)
    return plan
