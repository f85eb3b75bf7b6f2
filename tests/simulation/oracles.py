"""What must be true, at each write of a tag and when everything has come to its end.

What cannot be true in some runs is excused by name: `Judge.excused` says what, and why.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tasks.errors import ImagePusherError, PushFailed
from tests.simulation.broker_model import Results
from tests.simulation.images import Image, cosign, index, list_tag, listed_in, platforms_of, referrer
from tests.simulation.orders import Operation, explains
from tests.simulation.redis_model import Store
from tests.simulation.registry_model import Flavour, Registry, Write
from tests.simulation.scenario import B, Item, Push, Scenario
from tests.simulation.trace import Trace

_PREFIX: Final = "imagepusher:"
_MERGED: Final = ".merged-"
_WRITTEN: Final = frozenset({"copied", "merged"})
_DONE: Final = _WRITTEN | {"unchanged"}
_UNDO: Final = "undo"
_COSIGN: Final = ".sig"
_LISTS: Final = ("", _COSIGN)
# Why a tag of a release may stay as it was made: someone else moved it, or the registry does not take it back.
_STAYS: Final = frozenset({"tag_conflict", "destination_child_missing", "tag_immutable"})
# Between its look at a tag and its write a push notes that it begins, and looks at its lock.
_LAST_BREATH: Final = 3
_CANNOT_BE_TOLD: Final = "cannot be told"


@dataclass(frozen=True)
class Violation:
    """A rule (of tasks/BEHAVIOUR.md, where it is a number) that was broken, and how."""

    rule: str
    said: str

    def __str__(self) -> str:
        return f"[{self.rule}] {self.said}"


@dataclass
class Sent:
    """A push that was sent, and when it was seen to have ended."""

    push: Push
    started: float
    ended: float | None = None
    answer: Any = None
    """What a client that waited got: a report, or the error that it raised."""

    def has_ended(self) -> bool:
        """Tell whether its result was stored."""
        return self.ended is not None


@dataclass(frozen=True)
class Event:
    """What was told of a tag that moved."""

    when: float
    push_id: str
    reference: str
    digest: str


@dataclass
class Judge:
    """The records of a run, and the verdict on it."""

    scenario: Scenario
    b: Registry
    store: Store
    results: Results
    trace: Trace
    clock: Callable[[], float]
    sent: dict[str, Sent] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)
    deaths: int = 0
    last_death: float = 0.0
    collections: int = 0
    rollbacks: int = 0
    outages: list[tuple[str, float, float]] = field(default_factory=list)
    redis_outages: list[tuple[float, float]] = field(default_factory=list)
    undoing: str | None = None
    orphan: Callable[[], bool] = lambda: False
    holds: Callable[[str], bool] = lambda _tag: True
    """Whether the process that runs holds the lock of a tag."""
    pace: Callable[[], tuple[str, int] | None] = lambda: None
    """The thread that runs, and how many steps it has taken."""
    taken: Mapping[str, Any] = field(default_factory=dict)
    _gone: list[str] = field(default_factory=list)
    _first: dict[str, str] = field(default_factory=dict)
    _late: list[Write] = field(default_factory=list)
    _outside: list[Write] = field(default_factory=list)
    _looks: dict[tuple[str, str], int] = field(default_factory=dict)
    _hasty: set[Write] = field(default_factory=set)
    _known: set[str] = field(default_factory=set)
    _results: dict[str, set[tuple[Any, ...]]] = field(default_factory=dict)
    _unsigned: list[tuple[str, str, str, str]] = field(default_factory=list)
    undone: dict[str, bool] = field(default_factory=dict)
    lists: dict[str, tuple[str, Image]] = field(default_factory=dict)
    """The tags of B at which clients look for what refers to what is pushed, with repository and subject."""

    def subjects(self) -> list[tuple[str, Image]]:
        """Return what signers refer to and is pushed, with each repository of B that it goes to."""
        found = {
            (tag.partition(":")[0], subject.digest): subject
            for push in self.scenario.pushes
            for item in push.items
            for tag in item.tags
            for subject in item.signed
        }
        return [(repository, subject) for (repository, _), subject in found.items()]

    def begin(self) -> None:
        """Remember how B was."""
        for repository, subject in self.subjects():
            for suffix in _LISTS:
                self.lists[f"{repository}:{list_tag(subject.digest, suffix)}"] = repository, subject
        self._first = self.tags()
        self.b.writes.clear()
        self.b.on_write = self._judge_write
        self.b.on_read = self._note_look
        for push in self.scenario.pushes:
            self._known |= {index(item.platforms, item.version).digest for item in push.items}

    def _note_look(self, tag: str) -> None:
        if (pace := self.pace()) is not None:
            self._looks[pace[0], tag] = pace[1]

    def tags(self) -> dict[str, str]:
        """Return the digests of all tags of B."""
        return {
            f"{name}:{tag}": digest
            for name, space in sorted(self.b.spaces.items())
            for tag, digest in space.tags.items()
        }

    def dropped(self, key: str) -> None:
        """Note that Redis lost a key, or what was written to it last."""
        self._gone.append(key)

    def judge_keys(self, keys: Iterable[str]) -> None:
        """Judge that a key that was just written ends, but for those that are meant to last (7.5)."""
        for key in keys:
            if (
                key.startswith(_PREFIX)
                and self.store.ends(key) is None
                and isinstance(self.store.find(key), dict | bytes)
            ):
                self.add("7.5", f"{key} never ends")

    def lost_lease(self, key: str, process: str) -> None:
        """Note a lease that ended though its holder was alive and awake, and Redis was there."""
        self.add("7.1", f"{process} held {key}, and its lease ended by itself")

    def add(self, rule: str, said: str) -> None:
        """Note what was wrong."""
        self.violations.append(Violation(rule, said))
        self.trace.note(self.clock(), f"WRONG [{rule}] {said}")

    def add_all(self, crashes: Iterable[str]) -> None:
        """Note threads that ended by an error that nobody caught."""
        for crash in crashes:
            self.add("crash", crash)

    def note_ends(self) -> None:
        """Note in the trace how the pushes ended."""
        for push_id in self.sent:
            self.trace.note(self.clock(), f"{push_id}: {self._shown(push_id)}")

    def judge(self) -> None:
        """Judge the run as a whole."""
        reports = {push_id: self._judge_push(sent) for push_id, sent in self.sent.items()}
        for tag in self.scenario.tags:
            self._judge_tag(tag, reports)
        self._judge_protective(reports)
        self._judge_events(reports)
        self._judge_history(reports)
        self._judge_signatures(reports)
        self._judge_lists()
        self._judge_others()
        self.judge_keys(self.store.names())

    def judge_undo(self, push_id: str, before: Mapping[str, str], result: tuple[str, Any]) -> None:
        """Judge what an undo made of the tags that were still what the push had made them (6.6)."""
        state, value = result
        if state == "SUCCESS":
            self.undone = {tag["reference"]: tag["action"] in {"deleted", "restored"} for tag in value["tags"]}
        if state != "SUCCESS":
            if self._report(push_id) is not None and not self._lost(f"push:{push_id}"):
                self.add("6.6", f"undo of {push_id} ended in {state}: {value}")
            return
        report = self._report(push_id)
        said = {tag["reference"].removeprefix(f"{B}/"): tag for tag in value["tags"]}
        # A release of which one tag cannot be put back stays whole: its other tags stay as they are (10.7).
        whole = any(tag["action"] in {"moved", "failed"} for tag in value["tags"])
        for tag in (tag for item in (report or {}).get("items", ()) for tag in item["tags"]):
            name = tag["reference"].removeprefix(f"{B}/")
            if tag["action"] in _WRITTEN:
                self._judge_undone(name, tag, before.get(name), said.get(name), whole=whole)
            elif not _is_unknown(tag):
                self._judge_untouched(name, push_id, before.get(name))
        self._judge_protective_of_undo(push_id)

    def _judge_protective_of_undo(self, push_id: str) -> None:
        """Judge that an undo deletes the protective tags that the push made, where a registry deletes tags (6.6)."""
        if self.b.flavour is Flavour.DISTRIBUTION or self._lost(f"push:{push_id}/intents"):
            return
        for reference, intent in self._intents(push_id).items():
            undone = self.undone.get(reference)
            repository = reference.removeprefix(f"{B}/").partition(":")[0]
            for tag, digest in _made_beside(intent).items():
                if not undone or self.b.tag(repository, tag) != digest or self._is_shared(push_id, tag):
                    continue
                self.add("6.6", f"undo left the protective tag {repository}:{tag} of {push_id}")

    def _judge_untouched(self, name: str, push_id: str, before: str | None) -> None:
        """Judge that an undo leaves a tag alone that others made what it is, and not the push (6.6)."""
        last = next((write for write in reversed(self._writes(name)) if write.author != _UNDO), None)
        theirs = last is None or last.author != push_id
        if theirs and self.tags().get(name) != before and not self._lost(f"push:{self.undoing}"):
            self.add("6.6", f"undo changed {name}, which {push_id} had not moved")

    def _judge_undone(self, name: str, tag: Mapping[str, Any], before: str | None, said: Any, *, whole: bool) -> None:
        now = self.tags().get(name)
        if before != tag["new_digest"]:
            if now != before:
                self.add("6.6", f"undo changed {name}, which someone else had written")
            return
        if said is None and self._lost(f"push:{self.undoing}/intents"):
            self.excused.append(f"{name}: Redis lost what the push had noted of it")
        elif said is None:
            self.add("6.6", f"undo says nothing of {name}")
        elif said["error"] is not None:
            withheld = whole and said["error"]["code"] == "withheld" and now == before
            if not withheld:
                self._judge_failed_undo(name, tag, said)
        elif now != tag["old_digest"] and self._lost(f"push:{self.undoing}/intents"):
            self.excused.append(f"{name}: Redis lost what the push had noted of it")
        elif now != tag["old_digest"]:
            self.add("6.6", f"undo made {name} {now}, not {tag['old_digest']}")

    def _judge_failed_undo(self, name: str, tag: Mapping[str, Any], said: Mapping[str, Any]) -> None:
        code = said["error"]["code"]
        stays = tag["old_digest"] is None and self.b.flavour.value == "distribution"
        stays = stays or (code == "tag_immutable" and name in self.b.immutable)
        stays = stays or (said["action"] == "moved" and self._is_anothers(name, tag["new_digest"]))
        if code == "destination_child_missing" and self._lacks_parts(name, tag["old_digest"]):
            self.excused.append(f"{name}: parts of what the tag held before were collected, and undo says so")
        elif not stays:
            self.add("6.6", f"undo of {name} failed: {said['error']['message']}")

    def _is_anothers(self, name: str, digest: str) -> bool:
        """Tell whether another push wrote last what a tag holds, and says so."""
        last = next((write for write in reversed(self._writes(name)) if write.author != _UNDO), None)
        if last is None or last.author in {self.undoing, "foreign"}:
            return False
        said = _tag_of(self._report(str(last.author)), f"{B}/{name}")
        return said is not None and said["action"] in _WRITTEN and said["new_digest"] == digest

    def _lacks_parts(self, name: str, digest: str) -> bool:
        """Tell whether B no longer serves an image of an index that a tag held."""
        images = platforms_of(self.b.archive.get(digest)) or {}
        return any(not self.b.serves(name.partition(":")[0], image) for image in images.values())

    def _judge_write(self, write: Write) -> None:
        """Judge one write of a tag."""
        tag = f"{write.repository}:{write.tag}"
        self.trace.note(
            write.when, f"{tag} becomes {_short(write.new)} {self._described(write)} by {write.author or 'a worker'}"
        )
        if write.author == "foreign":
            if write.new is not None:
                self._known.add(write.new)
            return
        self._note_lateness(write, tag)
        if missing := self.b.missing(write.repository, write.tag):
            self.add("5.2", f"{tag} became {_short(write.new)}, which lacks {', '.join(map(_short, missing))}")
        if tag in self.lists:
            return
        own = tag in self.scenario.tags
        if own:
            self._note_haste(write, tag)
        if own and write.author in self.sent:
            self._judge_signed(write, tag)
        of_merge = any(tag.startswith(f"{each}{_MERGED}") for each in self.scenario.tags)
        if not own and not of_merge:
            self.add("6.5", f"{tag} was written, which no push names")
        if own and write.author != _UNDO and write.new is not None:
            self._judge_held(write, tag)

    def _note_lateness(self, write: Write, tag: str) -> None:
        """Note whether the process that wrote is dead, or has lost the lock of the tag."""
        if self.orphan():
            self._late.append(write)
        if self.orphan() or not self.holds(tag):
            self._outside.append(write)

    def _note_haste(self, write: Write, tag: str) -> None:
        """Note a write that did not come right after a look: what someone else wrote in between is no excuse."""
        pace = self.pace()
        if pace is None or write.new in self._held_before(tag):
            return
        thread, steps = pace
        if steps - self._looks.get((thread, tag), steps) > _LAST_BREATH:
            self._hasty.add(write)

    def _judge_held(self, write: Write, tag: str) -> None:
        """Judge that a protective tag holds each merged index that a tag gets (4.8)."""
        if write.new in self._known | set(self._first.values()):
            return
        names = self.b.spaces[write.repository].tags.items()
        if any(each.startswith(f"{write.tag}{_MERGED}") and digest == write.new for each, digest in names):
            return
        if write in self._outside or self._report(write.author or "") is not None:
            self.excused.append(f"{tag}: a worker that was dead or stood still wrote after its push had ended")
        else:
            self.add("4.8", f"{tag} became the merged {_short(write.new)}, which no protective tag holds")

    def _judge_push(self, sent: Sent) -> dict[str, Any] | None:
        """Judge what became of one push, and return its report."""
        push_id = sent.push.push_id
        if sent.ended is None:
            if self._lost(f"push:{push_id}") or not self.store.find(f"{_PREFIX}push:{push_id}"):
                self.excused.append(f"{push_id} never ended: Redis lost all that was known of it")
            else:
                self.add("7.5", f"{push_id} never ended")
            return None
        report = self._report(push_id)
        state, value = self.results.find(push_id)
        if sent.push.announced:
            state, value = ("SUCCESS" if (report or {}).get("state") == "succeeded" else "FAILURE"), sent.answer
        if report is None:
            if not self._lost(f"push:{push_id}"):
                self.add("6.3", f"{push_id} ended as {state} without a report: {value!r}")
            return None
        self._judge_whole(sent.push, report, succeeded=state == "SUCCESS")
        self._judge_release(sent.push, report)
        for item, said in zip(sent.push.items, report["items"], strict=True):
            for tag in said["tags"]:
                self._judge_report(sent, item, tag)
        return report

    def _judge_whole(self, push: Push, report: Mapping[str, Any], *, succeeded: bool) -> None:
        """Judge a report as a whole: its state, its tags, and that the ledger has the same one."""
        push_id = push.push_id
        actions = [tag["action"] for item in report["items"] for tag in item["tags"]]
        failed = [action not in _DONE for action in actions]
        wanted = "succeeded" if not any(failed) else "failed" if all(failed) else "partial"
        if report["state"] != wanted or succeeded != (wanted == "succeeded"):
            self.add("6.3", f"{push_id} is {report['state']}, with {actions}")
        named = [tag["reference"] for item in report["items"] for tag in item["tags"]]
        asked = [f"{B}/{tag}" for item in push.items for tag in item.tags]
        if sorted(named) != sorted(asked):
            self.add("6.1", f"{push_id} reports {named}, and was asked for {asked}")
        kept = self._kept_report(push_id)
        if kept is not None and _told(kept) != _told(report) and not self._lost(f"push:{push_id}"):
            self.add("7.3", f"whoever waited for {push_id} got another report than the ledger has: {_told(report)}")

    def judge_result(self, task_id: str, state: str, value: Any) -> None:
        """Judge a result as it is stored: it says what its report says, and a push has one report (6.3, 7.3)."""
        report = value.report if isinstance(value, PushFailed) else value if state == "SUCCESS" else None
        if not isinstance(report, Mapping) or "items" not in report:
            return
        push_id = report["push_id"]
        if (state == "SUCCESS") != (report["state"] == "succeeded"):
            self.add("6.3", f"the task {task_id} of {push_id} is {state}, and its report says {report['state']}")
        told = _told(report)
        if self._results.setdefault(push_id, told) != told and not self._lost(f"push:{push_id}"):
            self.add("7.3", f"{push_id} has two reports: {sorted(told ^ self._results[push_id], key=str)}")

    def _kept_report(self, push_id: str) -> dict[str, Any] | None:
        found = (self.store.find(f"{_PREFIX}push:{push_id}") or {}).get("report")
        return None if found is None else dict(json.loads(found))

    def _judge_release(self, push: Push, report: Mapping[str, Any]) -> None:
        """Judge that tags that move together did, or none stayed moved (10.1)."""
        items = [item["tags"] for item in report["items"]]
        groups = {"push": [[tag for tags in items for tag in tags]], "item": items}.get(push.atomic or "", [])
        for tags in groups:
            moved = [tag for tag in tags if tag["action"] in _WRITTEN]
            others = [tag for tag in tags if tag["action"] not in _DONE]
            if moved and others:
                said = ", ".join(f"{tag['reference'].removeprefix(f'{B}/')} {tag['action']}" for tag in tags)
                self.add("10.1", f"{push.push_id} moves tags together, and reports {said}")
            for tag in others:
                writes = self._writes(tag["reference"].removeprefix(f"{B}/"))
                own = [write for write in writes if write.author == push.push_id and write.old != write.new]
                self._judge_half(push.push_id, own, writes)
                foreign = tag["error"] is not None and tag["error"]["code"] in _STAYS
                # Someone else may write between the look of a roll-back and its deletion.
                since = [
                    w for w in self._writes(tag["reference"].removeprefix(f"{B}/")) if own and w.when >= own[-1].when
                ]
                foreign = foreign or any(write.author == "foreign" for write in since)
                foreign = foreign or (bool(own) and self._wrote_blindly(own))
                if own and own[-1].new != _put_back_to(own) and not foreign and not self._lost(f"push:{push.push_id}"):
                    self.add(
                        "10.1", f"{push.push_id} left {tag['reference']} at {_short(own[-1].new)}: {tag['action']}"
                    )

    def _judge_half(self, push_id: str, own: Sequence[Write], writes: Sequence[Write]) -> None:
        """Judge that no other push wrote over half of a release that was put back, before it ended (10.1)."""
        ended, made = (
            self.sent[push_id].ended or self.clock(),
            {write.new for write in own} - {write.old for write in own},
        )
        for before, write in itertools.pairwise(writes):
            other = write.author in self.sent and write.author != push_id and write not in self._outside
            half = before.author == push_id and write.old in made and write.old != write.new
            if other and half and write.when < ended and not self._gone:
                self.add("10.1", f"{write.author} built on half of the release of {push_id}, which was put back")

    def _judge_report(self, sent: Sent, item: Item, said: Mapping[str, Any]) -> None:
        """Judge what a report says of one tag (6.1)."""
        push_id, tag = sent.push.push_id, said["reference"].removeprefix(f"{B}/")
        own = [write for write in self._writes(tag) if write.author == push_id]
        if said["action"] not in _DONE:
            self._judge_failure(sent, tag, said, own)
            return
        self._judge_content(push_id, item, tag, said, own)
        held = self._held_between(tag, sent.started, sent.ended or self.clock())
        if said["new_digest"] not in held:
            self.add("6.1", f"{push_id} says that {tag} is {_short(said['new_digest'])}, and it never was")
        if said["action"] in _WRITTEN:
            if any(write.new == said["new_digest"] for write in own):
                pass
            elif self._cannot_be_told(tag, said["new_digest"]):
                self.excused.append(f"{tag}: which of two pushes of one image wrote it, {push_id} cannot tell")
                return
            else:
                self.add("6.1", f"{push_id} says that {tag} was {said['action']}, and never wrote that")
                return
            if said["old_digest"] in self._before(tag, sent, own):
                return
            if any(
                self._was_blind(write, each) for write in own for each in self._writes(tag) if each.author == "foreign"
            ):
                self.excused.append(f"{tag}: {push_id} wrote over a foreign write between its look and its PUT")
            else:
                self.add("6.6", f"{push_id} says that {tag} was {_short(said['old_digest'])} before, and it was not")

    def _judge_content(self, push_id: str, item: Item, tag: str, said: Mapping[str, Any], own: list[Write]) -> None:
        """Judge what a report says that a tag holds (4.1, 6.1, 7.7)."""
        content = platforms_of(self.b.content(tag.partition(":")[0], said["new_digest"]) or self._old_content(said))
        wanted = dict(index(item.platforms, item.version).platforms)
        if content is not None and not wanted.items() <= content.items():
            self.add(
                "4.1", f"{push_id} says that {tag} is {_short(said['new_digest'])}, which lacks some of its images"
            )
        if (
            content is not None
            and said["action"] in _WRITTEN
            and set(content) - set(item.platforms) != set(said["kept_platforms"])
        ):
            self.add("6.1", f"{push_id} says that {tag} kept {said['kept_platforms']}, and it has {sorted(content)}")
        if said["action"] == "unchanged" and self._moved_it(push_id, tag, said["new_digest"], own):
            self.add("7.7", f"{push_id} says that {tag} is unchanged, and it was {push_id} that wrote it")

    def _moved_it(self, push_id: str, tag: str, digest: str, own: list[Write]) -> bool:
        """Tell whether a push, and nobody else, made a tag what it is, and its ledger knows."""
        moved = [write for write in own if write.new == digest and write.old != write.new]
        others = any(write.new == digest and write.author != push_id for write in self._writes(tag))
        return bool(moved) and not others and not self._late and not self._lost(f"push:{push_id}")

    def _cannot_be_told(self, tag: str, digest: str) -> bool:
        """Tell whether another push wrote the same digest, while a delivery of the push stood still or was killed.

        The intent that such a delivery noted is in the ledger, and not whether it came to write.
        """
        broken = ("kill", "restart", "evict")
        faults = any(action.name.startswith(broken) for action in self.taken.values())
        return faults and any(write.new == digest for write in self._writes(tag))

    def _judge_failure(self, sent: Sent, tag: str, said: Mapping[str, Any], own: list[Write]) -> None:
        push_id, error = sent.push.push_id, said["error"]
        if error is None:
            self.add("6.1", f"{push_id} says that {tag} {said['action']}, and not why")
            return
        writes = self._writes(tag)
        moved = bool(writes) and writes[-1].author == push_id and writes[-1].old != writes[-1].new
        back = moved and (writes[-1].new == _put_back_to(own) or self._wrote_blindly(own))
        if moved and not back and self._lost(f"push:{push_id}"):
            self.excused.append(f"{push_id}: Redis lost its report after it was read, and it was published again")
        elif moved and not back and _CANNOT_BE_TOLD not in error["message"] and error["code"] != "stalled":
            self.add("6.1", f"{push_id} says that {tag} {said['action']} ({error['code']}), and it moved")
        if not self._justified(error["code"], sent.push):
            self.add("6.2", f"{push_id} failed for {tag} ({error['code']}) without a reason: {error['message']}")

    def _justified(self, code: str, push: Push) -> bool:
        """Tell whether the faults of the run may make a push fail so."""
        faults = [action.name for action in self.taken.values()]
        count, alone = faults.count, push.atomic is None
        stops = sum(name.startswith(("stop", "pause")) for name in faults)
        lost_locks = stops + count("end lease") + count("evict") + self.rollbacks
        lost = self._lost(f"push:{push.push_id}")
        reasons = {
            "registry_unavailable": bool(self.outages),
            # Deliveries that met before have used up tries.
            "rate_limited": sum(action.retry_after == 40.0 for action in self.taken.values())
            >= (1 if stops or self.deaths else 2),
            # A release holds all of its tags once, and does not begin anew where someone else writes one.
            "tag_conflict": count("foreign write") >= (3 if alone else 1)
            or (not alone and bool(stops or self.outages or self.deaths))
            or (stops > 0 and self._lost("written")),
            "lock_lost": lost_locks >= (4 if alone else 1) or self._redis_was_away(),
            # What a late write replaced may have been collected before anybody came to mend it.
            "copy_incomplete": self.collections >= (1 if self._outside else 2) or lost or bool(self.outages),
            "push_unknown": lost,
            # Workers that stand still hold a tag in turn.
            "lock_unavailable": bool(self._gone) or (stops >= 3 and len(self.sent) > 1),
            # A delivery that stands still counts as lost, too.
            "abandoned": self.deaths + stops + count("lose answer") + self.rollbacks >= 3,
            "stalled": bool(self._gone) or self.deaths >= 3 or self._redis_was_away(),
            "destination_child_missing": self.collections > 0 and (self.scenario.lax or not alone),
        }
        of_release = ("withheld", "rolled_back", "release_unsettled")
        # It deletes manifests only, and another tag may hold the image of a new one.
        keeps = not alone and self.b.flavour is Flavour.DISTRIBUTION
        reasons["irreversible"] = keeps
        reasons["tag_immutable"] = bool(self.b.immutable)
        return bool(reasons.get(code, code in of_release and not alone and (bool(faults) or keeps)))

    def _judge_tag(self, tag: str, reports: Mapping[str, dict[str, Any] | None]) -> None:
        """Judge whether what a tag holds is what some order of the pushes gives (7.1, 7.2)."""
        operations = [*self._push_operations(tag, reports), *self._foreign_operations(tag)]
        first = platforms_of(self._content_of(tag, self._first.get(tag)))
        last = platforms_of(self._content_of(tag, self.tags().get(tag)))
        if self.undoing is not None:
            return
        if explains(first, operations, last):
            return
        lost = [
            key for key in self._gone if key.startswith((f"{_PREFIX}written:", f"{_PREFIX}tag:")) or "/intents" in key
        ]
        if lost:
            self.excused.append(f"{tag} is in no order: Redis lost {lost}")
            return
        if self._late:
            self.excused.append(f"{tag} is in no order: a write of a dead worker arrived late")
            return
        held = ", ".join(f"{platform} {_short(digest)}" for platform, digest in (last or {}).items()) or "nothing"
        said = "; ".join(str(operation) for operation in operations)
        self.add("7.1", f"{tag} holds {held}, which no order of these gives: {said}")

    def _push_operations(self, tag: str, reports: Mapping[str, dict[str, Any] | None]) -> list[Operation]:
        operations = []
        for push_id, sent in self.sent.items():
            item = next((item for item in sent.push.items if tag in item.tags), None)
            if item is None:
                continue
            own = [write for write in self._writes(tag) if write.author == push_id]
            action = _action(reports[push_id], tag)
            moved = any(write.old != write.new for write in own)
            if action not in _DONE and not moved:
                continue
            if action == "rolled_back" and own[-1].new == _put_back_to(own):
                # Nobody builds on half of a release (10.1).
                continue
            ended = max([sent.ended or self.clock(), *(write.when for write in own)])
            source = dict(index(item.platforms, item.version).platforms)
            operations.append(
                Operation(push_id, sent.started, ended, source, merges=item.merge, may_be_absent=action not in _DONE)
            )
        return operations

    def _foreign_operations(self, tag: str) -> list[Operation]:
        operations = []
        writes = self._writes(tag)
        for write in writes:
            if write.author != "foreign":
                continue
            raced = next((each for each in writes if self._was_blind(each, write)), None)
            if raced is not None:
                self.excused.append(f"{tag}: {raced.author} wrote over a foreign write between its look and its PUT")
            content = platforms_of(self._content_of(tag, write.new)) or {}
            operations.append(
                Operation("foreign", write.when, write.when, content, merges=False, may_be_absent=raced is not None)
            )
        return operations

    def _was_blind(self, write: Write, foreign: Write) -> bool:
        """Tell whether a push looked at the tag right before it wrote, and someone else wrote in between."""
        if write.author in {_UNDO, "foreign"} or write.when < foreign.when or write in self._hasty:
            return False
        place = f"{write.repository}:{write.tag}"
        looks = [
            when
            for when, what, author, _ in self.b.reads
            if what == place and author == write.author and when < write.when
        ]
        looked = max(looks, default=0.0)
        again = any(
            each.author == write.author and looked < each.when < write.when for each in self._writes(f"{place}")
        )
        return looked < foreign.when and not again

    def _wrote_blindly(self, own: list[Write]) -> bool:
        """Tell whether a push wrote over a foreign write between its look and its PUT, or after its worker died."""
        if self._late:
            self.excused.append(f"{own[0].repository}:{own[0].tag}: a write of a dead worker arrived late")
            return True
        sent = self.sent[str(own[0].author)]
        if sent.ended is not None and sent.ended < own[-1].when <= self.last_death:
            self.excused.append(f"{own[0].repository}:{own[0].tag}: a worker wrote late, and died before it looked")
            return True
        foreign = [
            each
            for write in own
            for each in self._writes(f"{write.repository}:{write.tag}")
            if each.author == "foreign"
        ]
        return any(self._was_blind(write, each) for write in own for each in foreign)

    def _judge_protective(self, reports: Mapping[str, dict[str, Any] | None]) -> None:
        """Judge that each merged index has one protective tag, which is named (4.8, 7.3)."""
        named: set[str] = set()
        tags = self.tags()
        for push_id, report in reports.items():
            repositories = {tag.partition(":")[0] for tag in self.scenario.tags}
            for intent in self._intents(push_id).values():
                protective = [intent.get("protective_tag"), *intent.get("overtaken", {})]
                named |= {f"{name}:{each}" for name in repositories for each in protective if each}
            for said in (tag for item in (report or {}).get("items", ()) for tag in item["tags"]):
                if said["protective_tag"] is None:
                    self._judge_left_protection(push_id, said)
                    if said["action"] == "merged":
                        self.add("4.8", f"{push_id} merged {said['reference']} without a protective tag")
                    continue
                place = f"{said['reference'].removeprefix(f'{B}/').partition(':')[0]}:{said['protective_tag']}"
                named.add(place)
                # That of a tag that failed is named since it could not be removed, or nobody heard that it was.
                if self.undoing is None and said["action"] in _DONE and tags.get(place) != said["new_digest"]:
                    self._judge_absent(push_id, place, tags.get(place))
        for tag in tags:
            if (
                _MERGED in tag
                and tag not in named
                and not any("/intents" in key for key in self._gone)
                and not self._gone
            ):
                self.add("7.3", f"the protective tag {tag} is named by no push")

    def _judge_absent(self, push_id: str, place: str, found: str | None) -> None:
        """Judge a protective tag of a tag that moved which is not as its push left it (4.8)."""
        if any(f"{write.repository}:{write.tag}" == place and write.new is None for write in self._late):
            self.excused.append(f"{place}: a delete of a dead worker arrived late")
        else:
            self.add("4.8", f"the protective tag {place} of {push_id} is {_short(found)}")

    def _is_shared(self, push_id: str, protective: str) -> bool:
        """Tell whether another push needs this protective tag as well, since it merged the same images."""
        return any(
            protective == intent.get("protective_tag") or protective in intent.get("overtaken", {})
            for each in self.sent
            if each != push_id
            for intent in self._intents(each).values()
        )

    def _judge_left_protection(self, push_id: str, said: Mapping[str, Any]) -> None:
        """Judge that a protective tag of a push that failed was removed, or is named (4.8)."""
        if said["action"] in _DONE or self._lost("push:") or _is_unknown(said) or self._late or self.outages:
            return
        intent = self._intents(push_id).get(said["reference"])
        if intent is None or self.undoing is not None:
            return
        repository = said["reference"].removeprefix(f"{B}/").partition(":")[0]
        for tag, digest in _made_beside(intent).items():
            if self.b.tag(repository, tag) == digest and not self._is_shared(push_id, tag):
                self.add("4.8", f"{push_id} failed for {said['reference']} and does not name {tag}, which it left")

    def _judge_events(self, reports: Mapping[str, dict[str, Any] | None]) -> None:
        """Judge that each move was told, and none that did not stay."""
        told = {(event.push_id, event.reference, event.digest) for event in self.events}
        for push_id, report in reports.items():
            for said in (tag for item in (report or {}).get("items", ()) for tag in item["tags"]):
                if said["action"] in _WRITTEN and (push_id, said["reference"], said["new_digest"]) not in told:
                    self.add("7.7", f"nobody was told that {push_id} moved {said['reference']}")
        for event in self.events:
            said = _tag_of(reports.get(event.push_id), event.reference)
            if said is not None and said["action"] not in _DONE and not _is_unknown(said):
                if self._lost(f"push:{event.push_id}"):
                    self.excused.append(f"{event.push_id}: Redis lost what was known of it while its tags moved")
                    continue
                self.add("7.7", f"it was told that {event.push_id} moved {event.reference}: {said['action']}")
            tag = event.reference.removeprefix(f"{B}/")
            wrote = [
                write for write in self._writes(tag) if write.author == event.push_id and write.new == event.digest
            ]
            if self._cannot_be_told(tag, event.digest):
                continue
            if not any(write.when <= event.when for write in wrote):
                self.add(
                    "7.7", f"it was told that {event.push_id} moved {tag} to {_short(event.digest)}, which it did not"
                )

    def _judge_history(self, reports: Mapping[str, dict[str, Any] | None]) -> None:
        """Judge that the history of each tag has all moves, and no others (10.6)."""
        for tag in self.scenario.tags:
            key = f"{_PREFIX}history:{B}/{tag}"
            if self._lost("history:") or self._lost("push:"):
                continue
            moves = [json.loads(each) for each in (self.store.find(key) or {}).values()]
            for push_id, report in reports.items():
                said = _tag_of(report, f"{B}/{tag}")
                noted = [move for move in moves if move["push_id"] == push_id]
                if said is not None and said["action"] in _WRITTEN:
                    self._judge_move(push_id, tag, said, noted)
                elif said is not None and noted and self._cannot_be_told(tag, noted[0]["new_digest"]):
                    self.excused.append(f"{tag}: which of two pushes of one image wrote it, {push_id} cannot tell")
                elif said is not None and noted and not _is_unknown(said):
                    self.add("10.6", f"the history of {tag} has a move by {push_id}: {said['action']}")

    def _judge_move(self, push_id: str, tag: str, said: Mapping[str, Any], noted: list[dict[str, Any]]) -> None:
        wanted = (said["action"], said["old_digest"], said["new_digest"])
        same = [move for move in noted if (move["action"], move["old_digest"], move["new_digest"]) == wanted]
        if not same:
            self.add("10.6", f"the history of {tag} lacks the move by {push_id}")
        elif len(same) > 1:
            self.add("10.6", f"the history of {tag} has the move by {push_id} {len(same)} times")
        elif self.undone.get(f"{B}/{tag}") and self.undoing == push_id and not same[0].get("undone"):
            self.add("10.6", f"the history of {tag} does not know that the move by {push_id} was taken back")

    def _judge_signed(self, write: Write, tag: str) -> None:
        """Note what refers to the images of a tag and is not there when the tag moves (9.2)."""
        push_id = str(write.author)
        content = platforms_of(self.b.archive.get(write.new or "")) or {}
        for item in self.sent[push_id].push.items:
            if tag not in item.tags:
                continue
            for subject in item.signed:
                if subject.digest == write.new or subject.digest in content.values():
                    for signature, where in self._lacking_of(write.repository, subject, item.signer):
                        self._unsigned.append((push_id, tag, signature, where))

    def _lacking_of(self, repository: str, subject: Image, signer: str) -> Iterator[tuple[str, str]]:
        """Yield what a client of B does not find of what a signer says of an image, and where it looked."""
        own, signed = referrer(subject, signer), cosign(subject, (signer,))
        if self.b.has_api():
            if own.digest not in self.b.referrers(repository, subject.digest):
                yield own.digest, "the API"
        elif own.digest not in self.b.entries(repository, list_tag(subject.digest)):
            yield own.digest, list_tag(subject.digest)
        elif not self.b.serves(repository, own.digest):
            yield own.digest, "the registry"
        tag = list_tag(subject.digest, _COSIGN)
        if not listed_in(signed.content) <= self.b.entries(repository, tag):
            yield signed.digest, tag

    def _judge_signatures(self, reports: Mapping[str, dict[str, Any] | None]) -> None:
        """Judge that what was not there when a tag moved was said to be left behind (9.2, 9.5)."""
        for push_id, tag, digest, where in dict.fromkeys(self._unsigned):
            said = _tag_of(reports.get(push_id), f"{B}/{tag}")
            left = {each["digest"] for each in (said or {}).get("referrers_left", ())}
            unread = {each["code"] for each in (said or {}).get("warnings", ())} & {"referrers_unreadable"}
            if self.collections and self.b.has_api():
                self.excused.append(f"{tag}: what refers to its image was collected between the look and the move")
            elif digest not in left and not unread and not self._lost(f"push:{push_id}"):
                self.add(
                    "9.2", f"{push_id} moved {tag}, and {where} lacked {_short(digest)}, which refers to its image"
                )

    def _judge_lists(self) -> None:
        """Judge that a list has all that anybody added to it, and is gone only if an undo made it go (9.3)."""
        for place, (repository, subject) in self.lists.items():
            tag = place.partition(":")[2]
            held = self.b.entries(repository, tag)
            writes = self._writes(place)
            theirs = [write for write in writes if write.author == "foreign"]
            before = listed_in(self.b.archive.get(self._first.get(place) or ""))
            added: list[tuple[Write | None, frozenset[str]]] = [(None, before)]
            added += [(write, listed_in(self.b.archive.get(write.new or ""))) for write in writes if write.new]
            for write, entries in added:
                lost = entries - held
                if not lost or (write is not None and write.author == _UNDO):
                    continue
                foreign = write is None or write.author == "foreign"
                if write is not None and not foreign and not self._stood(str(write.author)):
                    continue
                if self.undoing is not None and not foreign and not held:
                    continue
                if write is not None and foreign and any(self._was_blind(each, write) for each in writes):
                    self.excused.append(f"{place}: a push wrote over a foreign write between its look and its PUT")
                elif self._late or self._lost("written:") or self._lost("tag:"):
                    self.excused.append(f"{place}: a write of a dead worker arrived late, or Redis lost the record")
                elif not held and not self._is_needed(repository, subject) and not theirs:
                    continue
                else:
                    self.add("9.3", f"{place} lost {', '.join(map(_short, sorted(lost)))}")

    def _stood(self, push_id: str) -> bool:
        """Tell whether a push moved all it was asked for: one that is put back takes its own lists back."""
        report = self._report(push_id)
        return report is not None and report["state"] == "succeeded"

    def _is_needed(self, repository: str, subject: Image) -> bool:
        return self.b.serves(repository, subject.digest)

    def _judge_others(self) -> None:
        for tag, digest in self._first.items():
            if tag in self.lists:
                continue
            if tag not in self.scenario.tags and self.tags().get(tag) != digest:
                self.add("6.5", f"{tag} was changed, which no push names")

    def _report(self, push_id: str) -> dict[str, Any] | None:
        """Return the report that whoever waits for a push gets."""
        sent = self.sent.get(push_id)
        if sent is not None and sent.push.announced:
            return dict(sent.answer) if isinstance(sent.answer, Mapping) else None
        state, value = self.results.find(push_id)
        if state == "SUCCESS":
            return dict(value)
        return dict(value.report) if isinstance(value, PushFailed) else None

    def _intents(self, push_id: str) -> dict[str, dict[str, Any]]:
        """Return the last intent of a push at each tag."""
        held: dict[str, bytes] = self.store.find(f"{_PREFIX}push:{push_id}/intents") or {}
        return {reference: json.loads(intent) for reference, intent in held.items()}

    def _writes(self, tag: str) -> list[Write]:
        return [write for write in self.b.writes if f"{write.repository}:{write.tag}" == tag]

    def _held_before(self, tag: str) -> set[str | None]:
        """Return what a tag has held before its last write: to put that back takes more steps."""
        return {self._first.get(tag), *(write.new for write in self._writes(tag)[:-1])}

    def _held_between(self, tag: str, start: float, end: float) -> set[str | None]:
        held = self._first.get(tag)
        found: set[str | None] = set()
        for write in self._writes(tag):
            if write.when >= start:
                found.add(held)
            if write.when > end:
                return found
            held = write.new
        return found | {held}

    def _before(self, tag: str, sent: Sent, own: list[Write]) -> set[str | None]:
        """Return what may be said to have been there before a push."""
        held = self._held_between(tag, sent.started, own[-1].when)
        others = {write.new for write in self._writes(tag) if write.author != own[0].author}
        # What a write without its lock replaced is what the tag is mended to.
        lost = {write.old for write in self._outside if write in self._writes(tag) and write.when <= own[-1].when}
        return (held - ({write.new for write in own} - others)) | {own[0].old} | lost

    def _content_of(self, tag: str, digest: str | None) -> bytes | None:
        return None if digest is None else self.b.archive.get(digest)

    def _old_content(self, said: Mapping[str, Any]) -> bytes | None:
        return self.b.archive.get(said["new_digest"])

    def _lost(self, what: str) -> bool:
        return any(what in key or key in {f"{_PREFIX}open", f"{_PREFIX}pushes"} for key in self._gone)

    def _redis_was_away(self) -> bool:
        return any(until - since > 100 for since, until in self.redis_outages)

    def _described(self, write: Write) -> str:
        found = platforms_of(self.b.archive.get(write.new or ""))
        return f"({', '.join(each.partition('/')[2] or each for each in found)})" if found else ""

    def _shown(self, push_id: str) -> str:
        state, value = self.results.find(push_id)
        sent = self.sent[push_id]
        if sent.push.announced:
            state, value = "answered", sent.answer
        report = self._report(push_id)
        if report is None:
            return f"{state} {value if isinstance(value, ImagePusherError) else ''}"
        tags = (tag for item in report["items"] for tag in item["tags"])
        return f"{report['state']}: " + "; ".join(
            f"{tag['reference'].removeprefix(f'{B}/')} {tag['action']} {_short(tag['new_digest'])}"
            + (f" ({tag['error']['code']}: {tag['error']['message']})" if tag["error"] else "")
            for tag in tags
        )


def _action(report: Mapping[str, Any] | None, tag: str) -> str | None:
    for item in (report or {}).get("items", ()):
        for said in item["tags"]:
            if said["reference"] == f"{B}/{tag}":
                return str(said["action"])
    return None


def _tag_of(report: Mapping[str, Any] | None, reference: str) -> dict[str, Any] | None:
    """Return what a report says of a tag: of several items that go there, the last."""
    tags = [tag for item in (report or {}).get("items", ()) for tag in item["tags"]]
    return next((dict(tag) for tag in reversed(tags) if tag["reference"] == reference), None)


def _told(report: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    """Return what a report says, but for totals and times."""
    return {
        (tag["reference"], tag["action"], tag["old_digest"], tag["new_digest"], tag["protective_tag"])
        for item in report["items"]
        for tag in item["tags"]
    }


def _is_unknown(said: Mapping[str, Any]) -> bool:
    """Tell whether a report says that nobody knows what became of a tag."""
    error = said["error"] or {"code": "", "message": ""}
    return _CANNOT_BE_TOLD in error["message"] or error["code"] in {"stalled", "abandoned"}


def _put_back_to(own: Sequence[Write]) -> str | None:
    """Return what a tag holds that is put back: what was there before the last write over the work of others."""
    made = [write.new for write in own]
    over_others = (write.old for number, write in reversed([*enumerate(own)]) if write.old not in made[:number])
    return next(over_others, own[0].old)


def _made_beside(intent: Mapping[str, Any]) -> dict[str, str]:
    """Return the protective tags that a push made, by its intent, with their digests."""
    made = dict(intent.get("overtaken", {}))
    if intent.get("protective_tag_created"):
        made[intent["protective_tag"]] = intent["new_digest"]
    return made


def _short(digest: str | None) -> str:
    return "absent" if digest is None else digest[7:15]
