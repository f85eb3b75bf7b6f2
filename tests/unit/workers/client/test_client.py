"""How a client waits for what its workers answer, on a broker that loses things."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from celery import states
from celery.exceptions import ChordError
from celery.exceptions import TimeoutError as NotYet

from tasks.contract import PushReport, State, Totals
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.sqlite import FileHashes
from tasks.errors import ImagePusherError, PushFailed, PushUnknown, RequestInvalid, StateUnavailable
from workers.client import waiting as module
from workers.client.client import CeleryClient

REQUEST = {"items": [{"source": "a.example/x:1", "destinations": {"b.example/x": ["1"]}}]}
REPORT = {"push_id": "p", "state": "succeeded", "items": [], "totals": {}}
# Later than any look of a test.
AT_ONCE = -1e9


class AwayError(Exception):
    """What a Redis that is away raises."""


@dataclass
class FakeApp:
    """A Celery application whose results are what a test lets happen at each look."""

    looks: list[Callable[[], Any]] = field(default_factory=list)
    sent: list[tuple[str, str, Any]] = field(default_factory=list)
    state: str = states.PENDING

    def send_task(self, name: str, args: list[Any], task_id: str = "new") -> "FakeResult":
        self.sent.append((name, task_id, args[0]))
        return FakeResult(self, task_id)

    def AsyncResult(self, task_id: str) -> "FakeResult":  # noqa: N802 - Celery's name
        return FakeResult(self, task_id)


@dataclass
class FakeResult:
    app: FakeApp
    id: str

    @property
    def state(self) -> str:
        return self.app.state

    def get(self, **_: Any) -> Any:
        return self.app.looks.pop(0)()


def close(ledger: HashLedger) -> None:
    (push,) = ledger.open_pushes()
    ledger.close(push)


def not_yet() -> Any:
    raise NotYet


def fails(error: Exception) -> Callable[..., Any]:
    def look(*_: Any, **__: Any) -> Any:
        raise error

    return look


@pytest.fixture
def app() -> FakeApp:
    return FakeApp()


@pytest.fixture
def ledger(tmp_path: Path) -> HashLedger:
    return HashLedger(FileHashes(tmp_path / "ledger.sqlite3", 60))


@pytest.fixture
def client(app: FakeApp, ledger: HashLedger, monkeypatch: pytest.MonkeyPatch) -> CeleryClient:
    monkeypatch.setattr("workers.client.client.time.sleep", lambda _: None)
    any_app: Any = app
    return CeleryClient(any_app, ledger, away=(AwayError,), patience=1000)


def test_a_push_that_redis_forgot_is_sent_again_by_who_asked_for_it(
    app: FakeApp, ledger: HashLedger, client: CeleryClient
) -> None:
    """Rule 7.5."""
    client.send(REQUEST, "p")

    def forget() -> Any:
        ledger._hashes.delete("imagepusher:push:p", "imagepusher:open", "imagepusher:pushes")
        raise NotYet

    app.looks = [forget, lambda: REPORT]
    assert client.wait("p").state == "succeeded"
    assert app.sent == [("imagepusher.push.v1", "p", REQUEST | {"push_id": "p"})] * 2
    assert [push.push_id for push in ledger.open_pushes()] == ["p"]


def test_a_push_that_redis_forgot_while_a_worker_had_it_is_sent_as_another_task(
    app: FakeApp, ledger: HashLedger, client: CeleryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 7.5: the task that found nothing any more has ended."""
    client.send(REQUEST, "p")

    def find_nothing() -> Any:
        ledger._hashes.delete("imagepusher:push:p", "imagepusher:open", "imagepusher:pushes")
        raise PushUnknown("The plan of the push 'p' is gone from the ledger.")

    # The progress has just been read, and is not due again.
    app.looks = [not_yet, find_nothing, lambda: REPORT]
    monkeypatch.setattr("workers.client.followed._REST_FACTOR", 1e9)
    assert client.wait("p").state == "succeeded"
    first, second = app.sent
    assert (first[1], first[2]) == ("p", second[2])
    assert second[1] != "p"


def test_a_push_that_only_a_worker_does_not_know_is_a_failure(
    app: FakeApp, ledger: HashLedger, client: CeleryClient
) -> None:
    client.send(REQUEST, "p")
    app.looks = [fails(PushUnknown("The plan of the push 'p' is gone from the ledger."))]
    with pytest.raises(PushUnknown):
        client.wait("p")
    assert len(app.sent) == 1


def test_a_redis_that_forgot_and_takes_nothing_any_more_is_told(
    app: FakeApp, ledger: HashLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 7.5: nobody waits for ever."""
    any_app: Any = app
    impatient = CeleryClient(any_app, ledger, away=(AwayError,), patience=-1)
    impatient.send(REQUEST, "p")
    ledger._hashes.delete("imagepusher:push:p")
    monkeypatch.setattr(app, "send_task", fails(AwayError()))
    app.looks = [not_yet]
    with pytest.raises(StateUnavailable, match="AwayError"):
        impatient.wait("p")


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_a_result_that_redis_evicted_is_taken_from_the_ledger(
    app: FakeApp, client: CeleryClient, ledger: HashLedger, state: State
) -> None:
    """Rule 7.5."""
    client.send(REQUEST, "p")
    ledger.finish(PushReport(push_id="p", state=state, items=[], totals=Totals()))

    def closed() -> Any:
        close(ledger)
        raise NotYet

    app.looks = [not_yet, closed]
    assert client.wait("p").state == state
    assert app.looks == []


def test_a_push_that_is_missing_from_the_open_ones_is_listed_again(
    app: FakeApp, client: CeleryClient, ledger: HashLedger
) -> None:
    """Rule 7.5: the watchdog looks after it again."""
    client.send(REQUEST, "p")
    ledger._hashes.delete("imagepusher:open", "imagepusher:pushes")
    app.looks = [not_yet, lambda: REPORT]
    client.wait("p")
    assert ledger.is_open("p")


def test_an_earlier_report_is_not_the_result_of_a_push_that_is_run_again(
    app: FakeApp, client: CeleryClient, ledger: HashLedger
) -> None:
    """Rule 6.5."""
    request = REQUEST | {"push_id": "p"}
    ledger.accept("p", request, "p")
    ledger.finish(PushReport(push_id="p", state="failed", items=[], totals=Totals()))
    close(ledger)
    client.send(request, "p")
    app.looks = [not_yet, lambda: REPORT]
    assert client.wait("p").state == "succeeded"


def test_the_report_of_another_request_is_not_the_result_of_one_under_its_id(
    app: FakeApp, client: CeleryClient, ledger: HashLedger
) -> None:
    ledger.accept("p", REQUEST | {"push_id": "p"}, "p")
    client.send({"items": [], "push_id": "p"}, "p")

    def ended() -> Any:
        ledger.finish(PushReport(push_id="p", state="succeeded", items=[], totals=Totals()))
        close(ledger)
        raise NotYet

    app.looks = [ended, fails(RequestInvalid("The push id belongs to another request."))]
    with pytest.raises(RequestInvalid):
        client.wait("p")


def test_a_push_that_another_asked_for_is_not_sent_again(app: FakeApp, client: CeleryClient) -> None:
    app.looks = [not_yet, lambda: REPORT]
    client.wait("p")
    assert app.sent == []


def test_a_push_that_is_run_again_has_a_task_of_its_own(app: FakeApp, ledger: HashLedger, client: CeleryClient) -> None:
    """Rule 6.5."""
    ledger.accept("p", REQUEST, "p")
    client.send(REQUEST, "p")
    assert app.sent[0][1] not in {"p", "new"}


def test_a_chord_that_broke_is_not_the_last_word_on_a_push_that_goes_on(
    app: FakeApp, ledger: HashLedger, client: CeleryClient
) -> None:
    """Rule 7.5."""
    client.send(REQUEST, "p")
    app.looks = [fails(ChordError("Callback error")), fails(ChordError("Callback error")), lambda: REPORT]
    assert client.wait("p").state == "succeeded"


def test_what_a_worker_raised_is_told_of_a_push_that_does_not_go_on(
    app: FakeApp, ledger: HashLedger, client: CeleryClient
) -> None:
    client.send(REQUEST, "p")
    ledger.finish(PushReport(push_id="p", state="failed", items=[], totals=Totals()))
    app.looks = [fails(ChordError("Callback error"))]
    with pytest.raises(ImagePusherError, match="ChordError"):
        client.wait("p")


def test_a_failed_push_is_a_report(app: FakeApp, client: CeleryClient) -> None:
    app.looks = [fails(PushFailed("p failed", REPORT | {"state": "failed"}))]
    assert client.wait("p").state == "failed"


def test_a_result_store_that_is_away_is_waited_for(app: FakeApp, client: CeleryClient) -> None:
    app.looks = [fails(AwayError()), fails(AwayError()), lambda: REPORT]
    assert client.wait("p").state == "succeeded"


def test_a_result_store_that_stays_away_is_told(app: FakeApp, ledger: HashLedger) -> None:
    any_app: Any = app
    impatient = CeleryClient(any_app, ledger, away=(AwayError,), patience=-1)
    app.looks = [fails(AwayError())]
    with pytest.raises(StateUnavailable, match="AwayError"):
        impatient.wait("p")


@pytest.mark.parametrize(("state", "times"), [(states.PENDING, 3), (states.STARTED, 1)])
def test_a_question_that_nobody_has_begun_to_answer_is_asked_again(
    app: FakeApp, client: CeleryClient, monkeypatch: pytest.MonkeyPatch, state: str, times: int
) -> None:
    monkeypatch.setattr(module, "_ASK_AGAIN_SECONDS", AT_ONCE)
    app.state = state
    app.looks = [not_yet, not_yet, lambda: {"push_id": "p", "state": "succeeded", "tags": []}]
    client.undo("p")
    assert app.sent == [("imagepusher.undo.v1", "new", "p")] * times


@pytest.mark.parametrize(("state", "times"), [(states.PENDING, 1), (states.STARTED, 0)])
def test_that_nobody_answers_is_told_once(
    app: FakeApp, ledger: HashLedger, monkeypatch: pytest.MonkeyPatch, state: str, times: int
) -> None:
    monkeypatch.setattr(module, "_LONG_SECONDS", AT_ONCE)
    any_app: Any = app
    told: list[str] = []
    asking = CeleryClient(any_app, ledger, unanswered=lambda: told.append("nobody"))
    app.state = state
    app.looks = [not_yet, not_yet, lambda: {"push_id": "p", "state": "succeeded", "tags": []}]
    asking.undo("p")
    assert told == ["nobody"] * times
