"""Texts of registries, producers and operators on the page: shown, and never a part of it."""

import re
from html.parser import HTMLParser

import pytest

from tasks import contract
from tasks.coordination.ledger import HashLedger
from tasks.transfer.plan.plan import Plan
from tasks.transfer.ports import Intervention
from tests.support.plans import planned_copy, planned_tag, resolved_item
from tests.unit.workers.page.conftest import LOGIN, Ask

EVIL = """'"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}"""
# A link, and what leaves an attribute without quotes.
LINK = "javascript:alert(1)// onclick=alert(1)"


class Elements(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(f"{tag}:{dict(attrs).get('src')}" if tag in {"script", "img"} else tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in {"href", "src", "action"}}


def fill(ledger: HashLedger) -> None:
    """Have the ledger know a push and a tag with such a text in each place that can hold one."""
    fault = contract.Fault(EVIL, EVIL, "source")
    tag = contract.TagReport(
        reference=f"b.example/{EVIL}:1",
        action="failed",
        old_digest=EVIL,
        new_digest=EVIL,
        kept_platforms=[EVIL],
        protective_tag=EVIL,
        warnings=[contract.Notice(EVIL, EVIL)],
        error=fault,
        referrers={EVIL: 2, LINK: 1},
        referrers_left=[contract.ReferrerLeft(digest=EVIL, reason="subset")],
    )
    item = contract.ItemReport(source=f"a.example/{EVIL}:1", kind="multi-arch", digest=EVIL, error=fault, tags=[tag])
    for push_id in ("ended", "before"):
        request = {"items": [{"source": EVIL, "destinations": {EVIL: [EVIL]}}], EVIL: EVIL}
        ledger.accept(push_id, request, EVIL)
        ledger.note_producer(push_id, EVIL)
        report = contract.PushReport(
            push_id=push_id, state="partial", items=[item], totals=contract.Totals(), warnings=[EVIL]
        )
        ledger.finish(report)
        ledger.note_intervention(push_id, Intervention(user=EVIL, action="retry", at=1.0, outcome=EVIL))
    ledger.refuse("refused", fault)
    ledger.accept("open", {"items": [], "target": EVIL}, "t")
    planned = resolved_item(planned_tag("b.example/app:1"))
    ledger.save_plan(
        Plan(push_id="open", created=1.0, items=[planned], copies=[planned_copy("sha256:c", platform=EVIL)])
    )
    ledger.wait("open", "part", contract.Waiting(reason=fault, since=1.0, until=4e9))
    ledger.hold("b.example/app:1", EVIL, EVIL)


@pytest.mark.parametrize(
    "path",
    [
        "/pushes",
        f"/pushes?q={EVIL}",
        f"/pushes?state={EVIL}",
        "/pushes/ended",
        "/pushes/open",
        "/pushes/refused",
        f"/pushes/{EVIL}",
        "/pushes/ended/undo",
        "/holds",
        "/tags/b.example/app:1",
        f"/tags/b.example/{EVIL}:1",
        "/tags/b.example/app:1/release-hold",
        f"/nowhere/{EVIL}",
    ],
)
def test_a_text_from_outside_makes_no_element_no_attribute_and_no_link(ask: Ask, ledger: HashLedger, path: str) -> None:
    fill(ledger)
    text = ask(logins=LOGIN).get(path, auth=("alice", LOGIN["alice"])).text
    found = Elements(text)
    assert {name for name in found.names if name.startswith(("script", "img"))} == {"script:/static/page.js"}
    assert not [name for name in found.attributes if re.match("on|style|srcdoc", name)]
    assert all(link.startswith(("/", "#")) for link in found.links)
    assert "49" not in text
