"""Holds of a push's tags and of one tag: asked for first, checked by the rules, and recorded with the user."""

import pytest
from starlette.testclient import TestClient

from tasks.coordination.ledger import HashLedger
from tasks.errors import NotPermitted
from tests.unit.workers.page.conftest import LOGIN, OWN, Ask, remember
from workers.page.holds import choose, tag_names

JSON = {"Accept": "application/json"}
TAG, NEW = "b.example/app:1", "b.example/app:new"


@pytest.fixture
def client(ask: Ask, ledger: HashLedger) -> TestClient:
    remember(ledger, "p", state="succeeded")
    made = ask(logins=LOGIN)
    made.auth = ("alice", "made-up")
    return made


def act(client: TestClient, path: str, why: str | None = "audit 7") -> int:
    token = client.get(path, headers=JSON).json().get("token", "")
    form = {"token": token, **({} if why is None else {"why": why})}
    return client.post(path, data=form, headers={"Origin": OWN}).status_code


def held(ledger: HashLedger) -> list[tuple[str, str, str | None]]:
    return [(hold.reference, hold.why, hold.by) for hold in ledger.holds()]


def recorded(client: TestClient, path: str) -> list[tuple[str, str, str]]:
    interventions = client.get(path, headers=JSON).json()["interventions"]
    return [(each["action"], each["user"], each["outcome"]) for each in interventions]


def test_a_hold_freezes_all_tags_of_a_push_and_its_release_frees_them(client: TestClient, ledger: HashLedger) -> None:
    """Rule 10.5."""
    question = client.get("/pushes/p/hold", headers=JSON).json()
    assert [(tag["reference"], tag["will"]) for tag in question["tags"]] == [(TAG, "be on hold"), (NEW, "be on hold")]
    assert act(client, "/pushes/p/hold") == 303
    assert held(ledger) == [(TAG, "audit 7", "alice"), (NEW, "audit 7", "alice")]
    assert client.get("/pushes/p", headers=JSON).json()["actions"] == ["retry", "undo", "release-hold"]
    assert act(client, "/pushes/p/release-hold", why=None) == 303
    assert held(ledger) == []
    assert recorded(client, "/pushes/p") == [
        ("hold", "alice", "2 on hold: audit 7"),
        ("release-hold", "alice", "2 released"),
    ]
    assert recorded(client, f"/tags/{TAG}") == [
        ("hold", "alice", "on hold: audit 7"),
        ("release-hold", "alice", "released, was on hold: audit 7"),
    ]


def test_a_hold_of_a_push_leaves_the_reason_of_an_earlier_hold(client: TestClient, ledger: HashLedger) -> None:
    ledger.hold(TAG, "the lawyers said so")
    question = client.get("/pushes/p/hold", headers=JSON).json()
    assert [(tag["will"], tag["why"]) for tag in question["tags"]] == [
        ("stay on hold", "the lawyers said so"),
        ("be on hold", ""),
    ]
    assert act(client, "/pushes/p/hold") == 303
    assert held(ledger) == [(TAG, "the lawyers said so", None), (NEW, "audit 7", "alice")]


def test_one_tag_is_held_and_released_on_its_own_page(client: TestClient, ledger: HashLedger) -> None:
    assert act(client, f"/tags/{TAG}/hold") == 303
    assert held(ledger) == [(TAG, "audit 7", "alice")]
    assert "By alice" in client.get(f"/tags/{TAG}").text
    assert "audit 7" in client.get("/holds").text
    assert client.get("/holds", headers=JSON).json()[0]["reference"] == TAG
    assert client.get(f"/tags/{TAG}/hold").status_code == 409
    assert act(client, f"/tags/{TAG}/release-hold", why=None) == 303
    assert held(ledger) == []
    assert client.get(f"/tags/{TAG}/release-hold").status_code == 409
    assert "No tag is on hold." in client.get("/holds").text


def test_a_hold_without_a_reason_is_refused(client: TestClient, ledger: HashLedger) -> None:
    for path in (f"/tags/{TAG}/hold", "/pushes/p/hold"):
        assert act(client, path, why=" ") == 400
        assert act(client, path, why=None) == 400
    assert held(ledger) == []


def test_a_rule_keeps_a_tag_from_the_page_and_then_none_is_held(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "p", state="succeeded")

    def check(tag: str) -> None:
        if tag == NEW:
            raise NotPermitted(f"No rule permits a hold of {tag}.")

    client = ask(check=check, logins=LOGIN)
    client.auth = ("alice", "made-up")
    assert act(client, "/pushes/p/hold") == 403
    assert (held(ledger), recorded(client, "/pushes/p")) == ([], [])
    assert act(client, f"/tags/{TAG}/hold") == 303


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
@pytest.mark.parametrize("path", [f"/tags/{TAG}/hold", "/pushes/p/hold"])
def test_a_forged_hold_does_nothing(client: TestClient, ledger: HashLedger, path: str, headers: dict[str, str]) -> None:
    token = client.get(path, headers=JSON).json()["token"]
    sent = {"token": token, "why": "x"}
    assert client.post(path, data=sent, headers={"Origin": OWN, **headers}).status_code == 403
    other = client.get(f"/tags/{NEW}/hold", headers=JSON).json()["token"]
    assert client.post(path, data={**sent, "token": other}, headers={"Origin": OWN}).status_code == 403
    assert held(ledger) == []


def test_nobody_holds_without_a_name(ask: Ask, ledger: HashLedger) -> None:
    client = ask()
    assert client.get(f"/tags/{TAG}/hold").status_code == 403
    sent = {"token": "x", "why": "x"}
    assert client.post(f"/tags/{TAG}/hold", data=sent, headers={"Origin": OWN}).status_code == 403
    assert "hold" not in client.get(f"/tags/{TAG}").text.partition("<main")[2]
    assert held(ledger) == []


@pytest.mark.parametrize("reference", ["b.example/app", "b.example/app@sha256:" + "0" * 64, "app:1", "b.example/App:1"])
def test_what_is_no_full_name_of_a_tag_cannot_be_held(client: TestClient, reference: str) -> None:
    assert client.get(f"/tags/{reference}", headers=JSON).json()["actions"] == []
    assert client.get(f"/tags/{reference}/hold").status_code == 409


def test_a_tag_has_one_spelling(client: TestClient, ledger: HashLedger) -> None:
    assert act(client, "/tags/docker:%2F%2FB.example/app:1/hold") == 303
    assert held(ledger) == [(TAG, "audit 7", "alice")]


def test_tags_are_chosen_by_what_they_are() -> None:
    items = [{"tags": [{"reference": each} for each in (TAG, NEW, TAG, "no tag", f"{TAG}@sha256:{'0' * 64}")]}]
    assert tag_names(items) == [TAG, NEW]
    assert choose([TAG, NEW], {TAG}, "hold") == [NEW]
    assert choose([TAG, NEW], {TAG}, "release-hold") == [TAG]
