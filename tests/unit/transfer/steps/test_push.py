"""The push step: what planning does with the errors of a registry (BEHAVIOUR 2.3, 6.2, 8.3)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks import contract
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.in_process import LocalRuns
from tasks.errors import NotPermitted, RateLimited, RequestInvalid, Side
from tasks.registry.repository import Registries
from tasks.registry.settings import Credentials, RegistryConfiguration, RegistryOverride
from tasks.transfer.lost_starts import Attempts
from tasks.transfer.plan.plan import FailedItem, Plan
from tasks.transfer.request.policy import WORKERS, Policy, Rule
from tasks.transfer.steps.push import PushStep
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.registry.clients import PING, QUICK

Run = Callable[..., Plan | contract.PushReport]
LIMITED = Exchange("GET", "/v2/src/app/manifests/1", Answer(429, {"Retry-After": "300"}), times=None)


@pytest.fixture
def run(ledger: HashLedger, runs: LocalRuns, executor: ThreadPoolExecutor) -> Run:
    step = PushStep(
        registries=Registries(RegistryConfiguration(limits=QUICK)),
        ledger=ledger,
        runs=runs,
        targets={},
        executor=executor,
        attempts=Attempts(ledger, runs, 3),
        clock=lambda: 1.0,
    )

    def run(source: str, *, retries: bool = True, task_id: str = "p") -> Plan | contract.PushReport:
        request = {"items": [{"source": source, "destinations": {"127.0.0.1:1/x": ["1"]}}]}
        return step.run("p", request, task_id=task_id, may_retry=lambda _: retries, redelivered=False)

    return run


def test_a_registry_that_asks_for_time_while_a_push_is_planned_gets_it(run: Run) -> None:
    """Rule 8.3: the push is given back for as long as the source asks."""
    with ScriptedRegistry(PING, LIMITED) as source, pytest.raises(RateLimited) as limited:
        run(f"{source.host}/src/app:1")
    assert (limited.value.retry_after, limited.value.side) == (300, Side.SOURCE)


def test_on_its_last_try_a_push_is_planned_with_the_error(run: Run) -> None:
    """Rule 6.2: the item fails, and its error keeps its side."""
    with ScriptedRegistry(PING, LIMITED) as source:
        plan = run(f"{source.host}/src/app:1", retries=False)
    assert isinstance(plan, Plan)
    (item,) = plan.items
    assert isinstance(item, FailedItem)
    assert (item.error.code, item.error.side) == ("rate_limited", Side.SOURCE)
    assert [tag.error for tag in item.tags] == [item.error]


def test_no_message_of_an_earlier_run_runs_a_push_again(run: Run, ledger: HashLedger) -> None:
    """Whoever got hold of one could undo an undo: only a new message of who may retry runs the push again."""
    ended = contract.PushReport(push_id="p", state="failed", items=[], totals=contract.Totals())
    with ScriptedRegistry(PING, LIMITED) as source:
        for task_id in ("first", "second"):
            assert isinstance(run(f"{source.host}/src/app:1", retries=False, task_id=task_id), Plan)
            ledger.finish(ended)
        ledger.mark_undone("p", "succeeded")
        for task_id in ("first", "second"):
            assert run(f"{source.host}/src/app:1", retries=False, task_id=task_id) == ledger.report("p")
        assert isinstance(run(f"{source.host}/src/app:1", retries=False, task_id="third"), Plan)


def test_credentials_of_a_command_are_sent_to_no_second_registry(
    ledger: HashLedger, runs: LocalRuns, executor: ThreadPoolExecutor
) -> None:
    """Rule 8.2: refused before anything is asked."""
    given = RegistryOverride(credentials=Credentials("user", "made-up"))
    step = PushStep(
        registries=Registries(RegistryConfiguration(limits=QUICK, source_override=given)),
        ledger=ledger,
        runs=runs,
        targets={},
        executor=executor,
        attempts=Attempts(ledger, runs, 3),
        clock=lambda: 1.0,
    )
    with ScriptedRegistry() as one, ScriptedRegistry() as two:
        items = [
            {"source": f"{registry.host}/app:1", "destinations": {"127.0.0.1:1/x": [tag]}}
            for tag, registry in (("1", one), ("2", two))
        ]
        with pytest.raises(RequestInvalid, match="several registries"):
            step.preview({"items": items})


def test_a_push_that_moved_no_tag_yet_is_not_undone_by_who_may_not(
    ledger: HashLedger, runs: LocalRuns, executor: ThreadPoolExecutor
) -> None:
    """It would stop the push: its destinations count, and not the tags that moved."""
    step = PushStep(
        registries=Registries(RegistryConfiguration(limits=QUICK)),
        ledger=ledger,
        runs=runs,
        targets={},
        policy=Policy((Rule("tests", frozenset({"ci"}), destinations=("*/test/*",), actions=frozenset({"undo"})),)),
        executor=executor,
        attempts=Attempts(ledger, runs, 3),
        clock=lambda: 1.0,
    )
    for push_id, place in (("mine", "test"), ("release", "prod")):
        destinations = {f"127.0.0.1:1/{place}/x": ["1"]}
        ledger.enqueue(push_id, {"items": [{"source": "127.0.0.1:1/x:1", "destinations": destinations}]}, push_id)
    step.check_undo("mine", "ci")
    step.check_undo("release", WORKERS)
    with pytest.raises(NotPermitted, match="by its destinations"):
        step.check_undo("release", "ci")
