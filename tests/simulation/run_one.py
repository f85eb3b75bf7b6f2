"""One run: the world is set up, workers start, pushes are sent, faults happen, and everything comes to its end."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from tasks import contract
from tasks.errors import ImagePusherError
from tests.simulation import images, patches, primitives, transport, wiring
from tests.simulation.broker_model import Broker, Message, Results
from tests.simulation.decisions import Action, Decisions, Step
from tests.simulation.oracles import Event, Judge, Sent, Violation
from tests.simulation.redis_model import Client, LeaseWaits, Store
from tests.simulation.registry_model import Registry, Space, Write
from tests.simulation.scenario import SIGNERS, A, B, Scenario
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.trace import Trace
from workers.broker.app import KEY_PREFIX

_HORIZON: Final = 3 * 3600.0
# As long as anything that was on its way, or stood still, may take to end.
_SETTLES: Final = 150.0
_FORGOTTEN_SECONDS: Final = 60.0
_LOOKS_AGAIN: Final = 0.25
_LEASES: Final = (f"{KEY_PREFIX}tag:", f"{KEY_PREFIX}run:")


@dataclass
class Outcome:
    """What came of a run."""

    scenario: Scenario
    violations: list[Violation]
    trace: Trace
    steps: int
    taken: Mapping[str, Action]
    excused: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The hash of all that happened."""
        return self.trace.digest


class World:
    """All that is outside of the program's code in one run."""

    def __init__(self, scenario: Scenario, decisions: Decisions, trace: Trace) -> None:
        self.scenario = scenario
        self.trace = trace
        self.scheduler = Scheduler(decisions, trace)
        self.store = Store(lambda: self.scheduler.now)
        self.store.journals = "restart redis without its last second" in scenario.swarm.on or bool(decisions.script)
        self.a = Registry(A, scenario.flavour, lambda: self.scheduler.now)
        self.b = Registry(B, scenario.flavour, lambda: self.scheduler.now, lax=scenario.lax)
        self.broker = Broker(self.scheduler, self.store, wiring.TRACER.work)
        self.results = Results(self.store, self.broker)
        self.workers: list[Process] = []
        self.operator = Process("operator", fallible=False)
        self.judge = Judge(scenario, self.b, self.store, self.results, trace, lambda: self.scheduler.now)
        self.scheduler.budgets = scenario.budgets
        self.store.on_written = self.judge.judge_keys
        self.store.on_ended = self._lease_ended
        self.judge.orphan = lambda: self.scheduler.lands_late
        self.judge.holds = self._holds_tag
        self.judge.pace = self._pace
        self.judge.taken = decisions.taken
        self.results.on_keep = self._note_result
        self._started = 0
        self._looks_again = 0.0
        self.scheduler.on_fault = self._carry_out
        self.scheduler.on_death = self._start_again

    def run(self) -> list[Violation]:
        """Run to the end and return what was wrong."""
        self._fill()
        for number in range(self.scenario.workers):
            self._start(f"w{number + 1}")
        for push in self.scenario.pushes:
            self.scheduler.at(push.at, lambda push=push: self._send(push))  # type: ignore[misc]
        self.scheduler.run(_HORIZON, self._all_ended)
        self.judge.note_ends()
        self.scheduler.run(self.scheduler.now + _SETTLES, self._is_still)
        if self.scenario.undo is not None and self._have_ended():
            self._undo(self.scenario.undo)
        self.judge.judge()
        self.judge.add_all(self.scheduler.crashes)
        self.scheduler.end()
        return self.judge.violations

    def _fill(self) -> None:
        for push in self.scenario.pushes:
            for item in push.items:
                self._put(self.a, item.repository, images.index(item.platforms, item.version), item.source)
                for subject in item.signed:
                    self._sign(self.a, item.repository, subject, item.signer)
        for tag, platforms, version in self.scenario.held:
            repository, _, name = tag.partition(":")
            self._put(self.b, repository, images.index(platforms, version), name)
        for repository in dict.fromkeys(tag.partition(":")[0] for tag in self.scenario.tags):
            self._put(self.b, repository, images.index(("linux/amd64",), "untouched"), "untouched")
        if self.scenario.signed_before:
            for repository, subject in self.judge.subjects():
                self._sign(self.b, repository, subject, "someone")
        self.judge.begin()

    def _put(
        self, registry: Registry, repository: str, index: images.Image, tag: str | None, author: str | None = None
    ) -> None:
        space_blobs = registry.spaces.setdefault(repository, Space())
        for digest, content in index.blobs:
            registry.blobs[digest] = content
            space_blobs.blobs[digest] = None
        for member in index.members:
            registry.put(repository, member.content, member.media_type, None, author)
        registry.put(repository, index.content, index.media_type, tag, author)

    def _sign(
        self, registry: Registry, repository: str, subject: images.Image, signer: str, author: str | None = None
    ) -> None:
        """Let a signer refer to an image in both schemes: each adds to the list that is there."""
        own = images.referrer(subject, signer)
        space = registry.spaces.setdefault(repository, Space())
        listed = images.list_tag(subject.digest)
        known = [
            images.Image(digest, each.content, each.media_type)
            for digest, each in space.manifests.items()
            if each.subject == subject.digest and digest in registry.entries(repository, listed)
        ]
        self._put(registry, repository, own, None, author)
        if not registry.has_api() and own.digest not in registry.entries(repository, listed):
            self._put(registry, repository, images.fallback([*known, own]), listed, author)
        signature = images.list_tag(subject.digest, ".sig")
        signers = tuple(
            each
            for each in (*SIGNERS, "someone", "another")
            if each == signer or images.cosign(subject, (each,)).blobs[1][0] in registry.entries(repository, signature)
        )
        self._put(registry, repository, images.cosign(subject, signers), signature, author)

    def _start(self, name: str) -> None:
        self._started += 1
        process = Process(f"{name}" if self._started <= self.scenario.workers else f"{name}'")
        self.workers.append(process)

        def boot() -> None:
            wiring.start_worker(
                self.scheduler,
                process,
                self.store,
                self.broker,
                self.results,
                self._hear,
                slots=self.scenario.slots,
            )

        self.scheduler.spawn(process, f"{process.name}/boot", boot)

    def _start_again(self, process: Process) -> None:
        self.judge.deaths += 1
        self.judge.last_death = self.scheduler.now
        delay = 1 + 20 * self.scheduler.decisions.chance(f"{process.name} starts again")
        self.scheduler.at(self.scheduler.now + delay, lambda: self._start(process.name))

    def _send(self, push: Any) -> None:
        client = Client(self.scheduler, self.store, KEY_PREFIX, _HORIZON)
        sent = Sent(push, self.scheduler.now)

        def act() -> None:
            request = push.request()
            self.judge.sent[push.push_id] = sent
            if not push.announced:
                self.broker.send(client, Message(contract.PUSH_TASK, push.push_id, (request,)))
                return
            waiting = wiring.client(client, self.broker, self.results)
            waiting.send(request, push.push_id)
            try:
                sent.answer = msgspec.to_builtins(waiting.wait(push.push_id))
            except ImagePusherError as error:
                sent.answer = error
            sent.ended = self.scheduler.now

        self.scheduler.spawn(self.operator, f"producer of {push.push_id}", act, push.push_id)

    def _note_result(self, task_id: str, state: str, value: Any) -> None:
        self.judge.judge_result(task_id, state, value)
        sent = self.judge.sent.get(task_id)
        if sent is not None and not sent.push.announced:
            sent.ended = self.scheduler.now

    def _undo(self, push_id: str) -> None:
        before = self.judge.tags()
        client = Client(self.scheduler, self.store, KEY_PREFIX, _HORIZON)
        message = Message(contract.UNDO_TASK, f"undo of {push_id}", (push_id,))
        self.scheduler.decisions.swarm = replace(self.scheduler.decisions.swarm, most=0, aims=())
        self.scheduler.decisions.script = self.scheduler.decisions.script and {}
        self.scheduler.spawn(self.operator, "undoing", lambda: self.broker.send(client, message))
        self.judge.undoing = push_id
        task_id = message.task_id
        self.scheduler.run(self.scheduler.now + 600, lambda: self.results.find(task_id)[0] != "PENDING")
        self.judge.judge_undo(push_id, before, self.results.find(task_id))

    def _holds_tag(self, tag: str) -> bool:
        """Tell whether the process that runs holds the lock of a tag."""
        running, key = self.scheduler.running, f"{KEY_PREFIX}tag:{B}/{tag}"
        holder = self.store.holders.get(key) if self.store.find(key) is not None else None
        return running is not None and holder is running.process

    def _pace(self) -> tuple[str, int] | None:
        """Return the thread that runs, and how many steps it has taken."""
        running = self.scheduler.running
        return None if running is None else (running.name, running.steps)

    def _lease_ended(self, key: str) -> None:
        """Judge a lease that nobody renewed though its holder lives, is awake and reaches Redis."""
        holder = self.store.holders.get(key)
        if holder is None or not holder.alive or not key.startswith(_LEASES):
            return
        broken = ("stop", "pause", "restart", "evict", "end lease", "forget", "lose")
        if not any(action.name.startswith(broken) for action in self.scheduler.decisions.taken.values()):
            self.judge.lost_lease(key, holder.name)

    def _hear(self, moved: contract.TagMoved) -> None:
        self.judge.events.append(Event(self.scheduler.now, moved.push_id, moved.reference, moved.new_digest))

    def _all_ended(self) -> bool:
        now = self.scheduler.now
        if now < self._looks_again:
            return False
        # Asked at each step of a run: an end may be seen a little later.
        self._looks_again = now + _LOOKS_AGAIN
        return self._have_ended()

    def _have_ended(self) -> bool:
        if len(self.judge.sent) < len(self.scenario.pushes):
            return False
        return all(
            (sent.ended is not None and (sent.push.announced or self.results.find(push_id)[0] != "PENDING"))
            or self._is_lost(sent)
            for push_id, sent in self.judge.sent.items()
        )

    def _is_lost(self, sent: Sent) -> bool:
        """Tell whether nothing is left of a push, and nobody waits for it who could send it again."""
        if sent.push.announced or self.scheduler.now < sent.started + _FORGOTTEN_SECONDS:
            return False
        push_id = sent.push.push_id
        known = self.store.find(f"{KEY_PREFIX}push:{push_id}") is not None
        return not known and not any(self.broker.lengths().values()) and not self.broker.unacknowledged()

    def _is_still(self) -> bool:
        """Tell whether nothing is on its way, and no task runs."""
        now = self.scheduler.now
        working = any(
            thread.push_id is not None for thread in self.scheduler.unfinished(w for w in self.workers if w.alive)
        )
        stopped = any(worker.alive and worker.stopped_until > now for worker in self.workers)
        return not working and not stopped and not self.scheduler.landing

    def _carry_out(self, action: Action, step: Step) -> None:
        """Carry out a fault that is no thread's own."""
        now = self.scheduler.now
        match action.name:
            case "registry away":
                chosen = self.a if step.subject.startswith(A) else self.b
                chosen.away_until = now + action.seconds
                self.judge.outages.append((chosen.host, now, now + action.seconds))
            case "foreign write":
                self._write_foreign(action, step)
            case "collect":
                self.b.end_temporary()
                self.trace.note(now, f"B collects {[digest[7:15] for digest in self.b.collect()]}")
                self.judge.collections += 1
            case "make immutable":
                tags = self.scenario.tags
                found = [tag for tag in tags if f"{B}/{tag}" == step.subject] or [tags[action.choice % len(tags)]]
                self.b.immutable.add(found[0])
                self.trace.note(now, f"someone makes {found[0]} immutable")
            case "end lease":
                self._end_lease(action)
            case "restart redis" | "restart redis without its last second":
                self._restart_redis(action)
            case "evict":
                self._evict(action)
            case "forget push":
                self._forget(action)
            case _:
                self._carry_out_of_broker(action)

    def _carry_out_of_broker(self, action: Action) -> None:
        match action.name:
            case "deliver twice":
                self.broker.deliver_again(action.choice)
            case "deliver late":
                self.broker.hold_up(action.choice, action.seconds)
            case "drop chord":
                self.results.forget_chord(action.choice)
            case _:
                raise NotImplementedError(action.name)

    def _write_foreign(self, action: Action, step: Step) -> None:
        of_step = step.subject.removeprefix(f"{B}/")
        place = self.judge.lists.get(of_step)
        if place is not None:
            self._sign(self.b, *place, "another", "foreign")
            self.trace.note(self.scheduler.now, f"someone else adds to {of_step}")
            return
        tags = self.scenario.tags
        tag = of_step if of_step in tags else tags[action.choice % len(tags)]
        repository, _, name = tag.partition(":")
        platforms = (images.PLATFORMS[action.choice % 4],) + (
            (images.PLATFORMS[(action.choice + 1) % 4],) if action.choice % 3 else ()
        )
        self._put(self.b, repository, images.index(platforms, f"foreign{action.choice % 5}"), name, "foreign")
        self.trace.note(self.scheduler.now, f"someone else writes {tag}: {', '.join(platforms)}")

    def _end_lease(self, action: Action) -> None:
        held = [key for key in self.store.names() if key.startswith(_LEASES)]
        if held:
            self._drop(sorted(held)[action.choice % len(held)], "ends")

    def _evict(self, action: Action) -> None:
        held = sorted(key for key in self.store.names() if key.startswith(KEY_PREFIX))
        if held:
            self._drop(held[action.choice % len(held)], "is evicted")

    def _forget(self, action: Action) -> None:
        """Let Redis lose all that is known of one push, as where it is emptied."""
        push_id = self.scenario.pushes[action.choice % len(self.scenario.pushes)].push_id
        for key in sorted(self.store.names()):
            if key == f"{KEY_PREFIX}push:{push_id}" or key.startswith(f"{KEY_PREFIX}push:{push_id}/"):
                self._drop(key, "is lost")

    def _drop(self, key: str, how: str) -> None:
        self.store.drop(key)
        self.judge.dropped(key)
        self.trace.note(self.scheduler.now, f"{key} {how}")

    def _restart_redis(self, action: Action) -> None:
        now = self.scheduler.now
        self.store.away_until = now + action.seconds
        if action.name.endswith("second"):
            since = now - (action.choice % 1000) / 1000
            for key in dict.fromkeys(self.store.lose_since(since)):
                self.judge.dropped(key)
            self.judge.rollbacks += 1
        self.judge.redis_outages.append((now, now + action.seconds))
        self.scheduler.at(self.store.away_until, self.broker.kick)


def play(scenario: Scenario, decisions: Decisions, *, verbose: bool = False) -> Outcome:
    """Run a scenario by some decisions."""
    trace = Trace(verbose)
    world = World(scenario, decisions, trace)
    primitives.start_ids()
    primitives.use(world.scheduler)
    transport.use(transport.Network(world.scheduler, {A: world.a, B: world.b}))
    patches.lease_waits(LeaseWaits(world.scheduler, world.store))
    if not verbose:
        logging.disable(logging.CRITICAL)
    try:
        violations = world.run()
    finally:
        logging.disable(logging.NOTSET)
        primitives.use(None)
        transport.use(None)
    return Outcome(scenario, violations, trace, world.scheduler.steps, decisions.taken, world.judge.excused)


__all__ = ["Outcome", "Write", "play"]
