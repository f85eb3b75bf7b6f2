"""The application on a ledger in memory, asked by Starlette's client; a client of the workers that is scripted."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient

from tasks import contract
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.sqlite import FileHashes
from tasks.oci.digest import Digest
from tasks.transfer.ports import TagIntent
from workers.page.actions import Actions
from workers.page.app import make_app
from workers.page.holds import Holds
from workers.settings.page import PageSettings

OWN = "http://127.0.0.1:5556"
LOGIN = {"alice": "made-up"}


class ScriptedClient:
    """What the page needs of a client of the workers; `busy` takes no question."""

    embedded = False

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.undone: list[str] = []
        self.busy = False
        self.ended = threading.Event()

    @contextmanager
    def open(self, unanswered: Callable[[], None]) -> Iterator[Any]:
        self.unanswered = unanswered
        yield self
        self.ended.set()

    def send(self, request: dict[str, Any], push_id: str) -> None:
        self.sent.append((push_id, request))

    def preview_undo(self, push_id: str) -> contract.Undo:
        if self.busy:
            self.unanswered()
        return undo_of(push_id)

    def undo(self, push_id: str) -> contract.Undo:
        self.undone.append(push_id)
        return undo_of(push_id)


def undo_of(push_id: str) -> contract.Undo:
    tags = [
        contract.TagUndo(reference="b.example/app:1", action="restored", digest="sha256:old"),
        contract.TagUndo(reference="b.example/app:new", action="deleted"),
    ]
    return contract.Undo(push_id=push_id, state="succeeded", tags=tags)


@pytest.fixture
def ledger() -> Iterator[HashLedger]:
    hashes = FileHashes(None, 600)
    yield HashLedger(hashes)
    hashes.close()


@pytest.fixture
def workers() -> ScriptedClient:
    return ScriptedClient()


Ask = Callable[..., TestClient]


@pytest.fixture
def ask(ledger: HashLedger, workers: ScriptedClient) -> Ask:
    """Return what makes a client of the application with the settings that a test gives."""

    def make(peer: str = "127.0.0.1", check: Callable[[str], None] = lambda _: None, **settings: Any) -> TestClient:
        app = make_app(PageSettings(**settings), ledger, Actions(ledger, workers.open), Holds(ledger, check))
        return TestClient(app, base_url=OWN, follow_redirects=False, client=(peer, 40_000))

    return make


def remember(ledger: HashLedger, push_id: str, *, source: str = "a.example/app:1", state: str | None = None) -> None:
    """Have the ledger know a push, which has ended where a state is given."""
    request = {"items": [{"source": source, "destinations": {"b.example/app": ["1", "new"]}}]}
    ledger.accept(push_id, request, f"task-of-{push_id}")
    if state is not None:
        ledger.finish(report_of(push_id, state, source))
        ledger.record_intent(
            push_id,
            "b.example/app:1",
            TagIntent(action="copied", old_digest=Digest("sha256:old"), new_digest=Digest("sha256:n")),
        )
        ledger.record_intent(
            push_id, "b.example/app:new", TagIntent(action="copied", old_digest=None, new_digest=Digest("sha256:n"))
        )


def report_of(push_id: str, state: Any, source: str) -> contract.PushReport:
    fault = contract.Fault("tag_immutable", "b.example/app:1 may not move. Push another tag.", "destination")
    failed = state in {"failed", "partial"}
    tags = [
        contract.TagReport(
            reference="b.example/app:1",
            action="failed" if failed else "merged",
            old_digest="sha256:0123456789abcdef",
            new_digest=None if failed else f"sha256:{push_id:f<16}",
            kept_platforms=["linux/arm64"],
            warnings=[contract.Notice("overwritten", "An image was overwritten.")],
            error=fault if failed else None,
        ),
        contract.TagReport(reference="b.example/app:new", action="copied", new_digest="sha256:feedfacefeedface"),
    ]
    item = contract.ItemReport(source=source, kind="multi-arch", digest="sha256:feedfacefeedface", tags=tags)
    return contract.PushReport(push_id=push_id, state=state, items=[item], totals=contract.Totals(bytes_copied=2048))
