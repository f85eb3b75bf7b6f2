"""What the page answers: the same data as HTML and as JSON, and errors in the words of the tree."""

from typing import Any

import pytest

from tasks.contract import (
    CopyProgress,
    Fault,
    ItemReport,
    Move,
    PushReport,
    ReferrerLeft,
    TagReport,
    Totals,
    Waiting,
)
from tasks.coordination.ledger import HashLedger
from tasks.errors import StateUnavailable
from tasks.transfer.plan.plan import Plan, PlannedItem
from tests.support.plans import planned_copy, planned_tag, resolved_item
from tests.unit.workers.page.conftest import Ask, remember
from workers.page.headers import HEADERS

JSON = {"Accept": "application/json"}


def test_the_list_has_the_last_push_first_in_both_forms(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "first", state="succeeded")
    remember(ledger, "second", source="a.example/<b>:1")
    client = ask()
    listed = client.get("/pushes", headers=JSON).json()
    assert [(push["push_id"], push["state"]) for push in listed["pushes"]] == [
        ("second", "accepted"),
        ("first", "succeeded"),
    ]
    assert listed["remembered"] == 2
    html = client.get("/pushes").text
    assert html.index("second") < html.index("first")
    assert "a.example/&lt;b&gt;:1" in html


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=", ["c", "b", "a"]),
        ("q=OTHER", ["b"]),
        ("q=app:new", ["c", "b", "a"]),
        ("q=nothing", []),
        ("state=succeeded", ["a"]),
        ("state=open", ["c"]),
        ("state=accepted", ["c"]),
        ("state=failed&q=other", ["b"]),
        ("state=made-up", ["c", "b", "a"]),
        ("page=2", []),
        ("page=-1", ["c", "b", "a"]),
    ],
)
def test_a_filter_and_a_search_choose_among_pushes(ask: Ask, ledger: HashLedger, query: str, found: list[str]) -> None:
    remember(ledger, "a", state="succeeded")
    remember(ledger, "b", source="c.example/other:1", state="failed")
    remember(ledger, "c")
    listed = ask().get(f"/pushes?{query}", headers=JSON).json()
    assert [push["push_id"] for push in listed["pushes"]] == found


def test_a_list_of_many_has_pages(ask: Ask, ledger: HashLedger) -> None:
    for number in range(120):
        remember(ledger, f"p{number:03}")
    pages = [ask().get(f"/pushes?page={page}", headers=JSON).json() for page in (1, 2, 3)]
    assert [push["push_id"] for page in pages for push in page["pushes"]] == [f"p{n:03}" for n in reversed(range(120))]
    assert [page["more"] for page in pages] == [True, True, False]
    assert 'rel="next" href="/pushes?q=p&amp;state=&amp;page=2"' in ask().get("/pushes?q=p").text


def test_a_push_shows_its_tags_its_errors_and_what_to_do(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "p", state="partial")
    html = (
        ask(flower_url="http://flower.example/", trace_url="http://traces.example/?q={push_id}").get("/pushes/p").text
    )
    for told in ("tag_immutable", "Push another tag.", "linux/arm64", "An image was overwritten.", "0123456789ab"):
        assert told in html
    assert 'href="http://flower.example/task/task-of-p"' in html
    assert 'href="http://traces.example/?q=p"' in html
    data = ask().get("/pushes/p", headers=JSON).json()
    assert data["failures"][0]["references"] == ["b.example/app:1"]
    assert data["items"][0]["tags"][1]["new_digest"] == "sha256:feedfacefeedface"


def test_a_push_shows_who_sent_it_and_what_came_along(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "p")
    ledger.note_producer("p", "ci-of-the-team")
    left = ReferrerLeft(digest="sha256:left", reason="subset")
    tag = TagReport(
        reference="b.example/app:1", action="copied", referrers={"application/spdx+json": 2}, referrers_left=[left]
    )
    item = ItemReport(source="a.example/app:1", kind="multi-arch", tags=[tag])
    ledger.finish(PushReport(push_id="p", state="succeeded", items=[item], totals=Totals()))
    html = ask().get("/pushes/p").text
    for told in ("by ci-of-the-team", "2 application/spdx+json", "left behind: 1 referrer"):
        assert told in html
    assert ask().get("/pushes", headers=JSON).json()["pushes"][0]["producer"] == "ci-of-the-team"
    assert "by ci-of-the-team" in ask().get("/pushes").text


@pytest.mark.parametrize("path", ["/pushes", "/pushes/p", "/pushes/p/cancel"])
def test_a_hostile_name_is_shown_and_neither_run_nor_obeyed(ask: Ask, ledger: HashLedger, path: str) -> None:
    remember(ledger, "p", source="a.example/<script>alert(1)</script>\u202e\x1b'\"&:1")
    ledger.note_producer("p", "<b>\u2066ci</b>")
    html = ask(anonymous_actions=True).get(path).text
    assert not set(html) & set("\u202e\u2066\x1b")
    assert "<script>alert" not in html
    assert "<b>" not in html
    if path != "/pushes/p/cancel":
        assert r"a.example/&lt;script&gt;alert(1)&lt;/script&gt;\u202e\x1b&#39;&#34;&amp;:1" in html
        assert r"&lt;b&gt;\u2066ci&lt;/b&gt;" in html


def test_a_command_in_a_message_is_shown_as_code(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "p")
    for message, shown in (
        (
            "Held: `imagepusher holds <x>\u202e` lists it.",
            r"Held: <code>imagepusher holds &lt;x&gt;\u202e</code> lists it.",
        ),
        ("A lone ` and <b>", "A lone ` and &lt;b&gt;"),
    ):
        waiting = Waiting(reason=Fault("tag_held", message, "destination"), since=1.0, until=4e9)
        ledger.wait("p", "part", waiting)
        assert shown in ask().get("/pushes/p").text


def test_a_push_that_waits_says_why(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "p")
    reason = Fault("registry_maintenance", "b.example is under maintenance.", "destination")
    ledger.wait("p", "part", Waiting(reason=reason, since=1.0, until=4e9))
    assert "b.example is under maintenance." in ask().get("/pushes/p").text
    assert ask().get("/pushes/p", headers=JSON).json()["waiting"]["reason"]["code"] == "registry_maintenance"


def test_a_push_is_compared_with_the_one_before_of_the_same_tags(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "aaa", state="succeeded")
    remember(ledger, "bbb", source="a.example/app:2", state="succeeded")
    comparison: dict[str, Any] = ask().get("/pushes/bbb", headers=JSON).json()["comparison"]
    assert (comparison["before"], comparison["sources"]) == ("aaa", ["a.example/app:2"])
    assert {tag["reference"]: tag["change"] for tag in comparison["tags"]} == {
        "b.example/app:1": "changed",
        "b.example/app:new": "same",
    }
    assert ask().get("/pushes/aaa", headers=JSON).json()["comparison"] is None


@pytest.mark.parametrize("path", ["/pushes/none", "/pushes/none/undo", "/nowhere"])
def test_an_unknown_address_is_404_in_both_forms(ask: Ask, path: str) -> None:
    client = ask(anonymous_actions=True)
    assert client.get(path).status_code == 404
    answer = client.get(path, headers=JSON)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] in {"push_unknown", "not_found"}


@pytest.mark.parametrize("path", ["/pushes", "/pushes/none", "/static/page.js", "/healthcheck"])
def test_each_answer_has_the_headers_and_no_inline_code(ask: Ask, path: str) -> None:
    answer = ask().get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert " onclick=" not in answer.text


def test_without_a_login_only_names_of_this_machine_are_answered(ask: Ask) -> None:
    assert ask().get("/pushes", headers={"Host": "rebound.example"}).status_code == 400
    assert ask().get("/pushes", headers={"Host": "localhost:5556"}).status_code == 200


def test_a_ledger_that_is_away_is_503_with_its_reason(
    ask: Ask, ledger: HashLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> list[str]:
        raise StateUnavailable("The ledger in Redis at redis.example:6379/0 cannot be used: refused.")

    monkeypatch.setattr(ledger, "push_ids", away)
    answer = ask().get("/pushes")
    assert answer.status_code == 503
    assert "redis.example:6379/0 cannot be used" in answer.text
    assert ask().get("/pushes", headers=JSON).json()["error"]["code"] == "state_unavailable"


def test_a_push_under_way_shows_its_plan_and_how_far_it_is(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "p")
    done, planned = (
        planned_tag("b.example/app:1"),
        planned_tag("b.example/app:new", "merged", kept_platforms=["linux/arm"]),
    )
    copies = [planned_copy("sha256:a", platform="linux/amd64")]
    items: list[PlannedItem] = [resolved_item(done, planned, needs=("sha256:a",))]
    ledger.save_plan(Plan(push_id="p", created=1.0, items=items, copies=copies))
    ledger.record_progress("p", CopyProgress(digest="sha256:a", done=3, total=4))
    ledger.record_tag("p", "key", TagReport(reference="b.example/app:1", action="unchanged"))
    data = ask().get("/pushes/p", headers=JSON).json()
    assert [(tag["action"], tag.get("planned", False)) for tag in data["items"][0]["tags"]] == [
        ("unchanged", False),
        ("merged", True),
    ]
    assert [(copy["done"], copy["total"], copy["platform"]) for copy in data["copies"]] == [(3, 4, "linux/amd64")]
    html = ask().get("/pushes/p").text
    assert "to be merged" in html
    assert 'max="4" value="3"' in html


def test_a_tag_has_its_history(ask: Ask, ledger: HashLedger) -> None:
    remember(ledger, "p", state="succeeded")
    said: dict[str, Any] = {"action": "merged", "source": "a.example/app:1", "source_digest": None, "old_digest": None}
    for push_id, at in (("o", 1.0), ("p", 2.0)):
        ledger.note_move("b.example/app:1", Move(at=at, push_id=push_id, new_digest=f"sha256:{push_id}", **said))
    ledger.note_undone("b.example/app:1", "p")
    assert 'href="/tags/b.example/app%3A1"' in ask().get("/pushes/p").text
    moves = ask().get("/tags/b.example/app%3A1", headers=JSON).json()["moves"]
    assert [(move["push_id"], move["undone"] is not None) for move in moves] == [("p", True), ("o", False)]
    assert 'href="/pushes/o"' in ask().get("/tags/b.example/app:1").text
    assert "No push is remembered" in ask().get("/tags/b.example/none:1").text


def test_a_push_names_the_producer_who_signed_it(ask: Ask, ledger: HashLedger) -> None:
    """T14."""
    ledger.note_producer("p", "ci<b>")
    remember(ledger, "p", state="succeeded")
    remember(ledger, "q", state="succeeded")
    client = ask()
    assert client.get("/pushes/p", headers=JSON).json()["producer"] == "ci<b>"
    assert "</time> ago by ci&lt;b&gt;" in client.get("/pushes/p").text
    assert client.get("/pushes/q", headers=JSON).json()["producer"] is None
