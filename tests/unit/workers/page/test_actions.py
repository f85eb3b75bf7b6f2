"""Actions: asked for first, with a token, from the same origin, by somebody with a name; and recorded."""

import re

import pytest
from starlette.testclient import TestClient

from tasks import contract
from tasks.coordination.ledger import HashLedger
from tests.support.processes import wait_until
from tests.unit.workers.page.conftest import LOGIN, OWN, Ask, ScriptedClient, remember

JSON = {"Accept": "application/json"}
ALICE = ("alice", "made-up")


@pytest.fixture
def client(ask: Ask, ledger: HashLedger) -> TestClient:
    remember(ledger, "p", state="partial")
    made = ask(logins=LOGIN)
    made.auth = ALICE
    return made


def token(client: TestClient, path: str) -> str:
    return str(client.get(path, headers=JSON).json()["token"])


def act(client: TestClient, path: str, sent: str | None = None, **headers: str) -> int:
    form = {"token": token(client, path) if sent is None else sent}
    return client.post(path, data=form, headers={"Origin": OWN, **headers}).status_code


def outcomes(ledger: HashLedger, push_id: str) -> list[tuple[str, str, str]]:
    return [(each.action, each.user, each.outcome) for each in ledger.interventions(push_id)]


def wait_for_outcome(ledger: HashLedger, push_id: str) -> list[tuple[str, str, str]]:
    wait_until(lambda: all(each[2] for each in outcomes(ledger, push_id)), "the action has no outcome")
    return outcomes(ledger, push_id)


def test_a_retry_sends_the_request_again_and_is_recorded(
    client: TestClient, ledger: HashLedger, workers: ScriptedClient
) -> None:
    assert act(client, "/pushes/p/retry") == 303
    assert wait_for_outcome(ledger, "p") == [("retry", "alice", "sent again")]
    assert workers.sent == [("p", ledger.request("p"))]
    assert "retry by alice" in client.get("/pushes/p").text


def test_an_undo_lists_all_that_it_will_do_and_does_it_when_told(
    client: TestClient, ledger: HashLedger, workers: ScriptedClient
) -> None:
    question = client.get("/pushes/p/undo").text
    assert re.search(r"b\.example/app:1.*?restore.*?b\.example/app:new.*?delete", question, re.DOTALL)
    assert workers.undone == []
    assert act(client, "/pushes/p/undo") == 303
    assert wait_for_outcome(ledger, "p") == [("undo", "alice", "1 restored, 1 deleted")]
    assert workers.undone == ["p"]


def test_an_undo_that_no_worker_looks_at_lists_what_the_ledger_knows(
    client: TestClient, workers: ScriptedClient
) -> None:
    workers.busy = True
    asked = client.get("/pushes/p/undo", headers=JSON).json()
    assert "No worker is free" in asked["note"]
    assert [(tag["reference"], tag["will"], tag["digest"]) for tag in asked["tags"]] == [
        ("b.example/app:1", "be restored", "sha256:old"),
        ("b.example/app:new", "be deleted", None),
    ]


def test_an_undo_of_a_release_that_cannot_be_put_back_lists_what_stays(
    client: TestClient, ledger: HashLedger, workers: ScriptedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 10.7."""
    tags = [
        contract.TagUndo(reference="b.example/app:1", action="moved", digest="sha256:x"),
        contract.TagUndo(reference="b.example/app:new", action="skipped", error=contract.Fault("tag_moved", "Look.")),
    ]
    undo = contract.Undo(push_id="p", state="failed", tags=tags)
    monkeypatch.setattr(workers, "preview_undo", lambda _: undo)
    monkeypatch.setattr(workers, "undo", lambda _: undo)
    asked = client.get("/pushes/p/undo", headers=JSON).json()
    assert [(tag["will"], tag["why"]) for tag in asked["tags"]] == [("be left alone", ""), ("stay moved", "Look.")]
    assert act(client, "/pushes/p/undo") == 303
    assert wait_for_outcome(ledger, "p") == [
        ("undo", "alice", "1 left alone, 1 left as it is; b.example/app:new: Look.")
    ]


def test_a_cancel_stops_the_push(client: TestClient, ledger: HashLedger) -> None:
    remember(ledger, "running")
    assert act(client, "/pushes/running/cancel") == 303
    assert wait_for_outcome(ledger, "running") == [("cancel", "alice", "told to stop")]
    assert ledger.is_cancelled("running")


def test_an_action_that_does_nothing_now_is_refused(client: TestClient, ledger: HashLedger) -> None:
    remember(ledger, "running")
    assert client.get("/pushes/running/undo").status_code == 409
    assert client.get("/pushes/p/cancel").status_code == 409
    assert act(client, "/pushes/p/cancel", sent="any") == 403
    assert client.get("/pushes/p/drop").status_code == 404


@pytest.mark.parametrize(
    ("sent", "headers"),
    [
        (None, {"Origin": "http://evil.example"}),
        (None, {"Origin": "null"}),
        (None, {"Origin": "http://127.0.0.1:5557"}),
        (None, {"Origin": ""}),
        (None, {"Sec-Fetch-Site": "cross-site"}),
        ("", {}),
        ("0" * 64, {}),
        ("\N{SNOWMAN}", {}),
    ],
)
def test_a_forged_request_does_nothing(
    client: TestClient, ledger: HashLedger, workers: ScriptedClient, sent: str | None, headers: dict[str, str]
) -> None:
    assert act(client, "/pushes/p/retry", sent, **headers) == 403
    assert (outcomes(ledger, "p"), workers.sent) == ([], [])


def test_a_token_is_for_one_user_one_action_and_one_push(ask: Ask, client: TestClient, ledger: HashLedger) -> None:
    remember(ledger, "q", state="partial")
    assert act(client, "/pushes/q/retry", token(client, "/pushes/p/retry")) == 403
    assert act(client, "/pushes/p/undo", token(client, "/pushes/p/retry")) == 403
    both = ask(logins={**LOGIN, "bob": "made-up-too"})
    both.auth = ALICE
    hers = token(both, "/pushes/p/retry")
    both.auth = ("bob", "made-up-too")
    assert act(both, "/pushes/p/retry", hers) == 403


def test_a_form_that_is_too_large_is_refused(client: TestClient) -> None:
    assert act(client, "/pushes/p/retry", "x" * 5000) == 413


@pytest.mark.parametrize("settings", [{}, {"logins": LOGIN, "auth": None}])
def test_nobody_acts_without_a_name(ask: Ask, ledger: HashLedger, settings: dict[str, dict[str, str]]) -> None:
    remember(ledger, "p", state="partial")
    client = ask(logins=settings.get("logins", {}))
    expected = 401 if settings else 403
    assert client.get("/pushes/p/undo").status_code == expected
    assert client.post("/pushes/p/undo", data={"token": "x"}, headers={"Origin": OWN}).status_code == expected
    assert (outcomes(ledger, "p")) == []


def test_a_setting_lets_everybody_act_on_loopback(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "p", state="partial")
    assert act(ask(anonymous_actions=True), "/pushes/p/retry") == 303
    assert "(no login)" in wait_for_outcome(ledger, "p")[0][1]


def test_the_url_of_the_settings_is_the_origin_behind_a_proxy(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "p", state="partial")
    client = ask(logins=LOGIN, origin="https://pushes.example.com")
    client.auth = ALICE
    assert act(client, "/pushes/p/retry") == 403
    assert act(client, "/pushes/p/retry", Origin="https://pushes.example.com") == 303
