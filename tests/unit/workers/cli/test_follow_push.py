"""Following a push by the ledger: to its end, through an outage, and no further than anybody carries it out."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks import contract
from tasks.errors import PushUnknown, StateUnavailable
from workers.cli import follow_push
from workers.cli.progress import Silence


class FakeLedger:
    """A ledger that says one thing after the other."""

    def __init__(self, *words: contract.ProgressState | Exception) -> None:
        self.words = list(words)

    def progress(self, push_id: str) -> contract.Progress:
        word = self.words.pop(0)
        if isinstance(word, Exception):
            raise word
        return contract.Progress(push_id=push_id, state=word, created=0, updated=0)


class Heard(Silence):
    def __init__(self) -> None:
        self.states: list[str] = []

    def __call__(self, progress: contract.Progress) -> None:
        self.states.append(progress.state)


Follow = Callable[..., tuple[str, list[str]]]


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Follow:
    monkeypatch.setattr("workers.cli.follow_push.time.sleep", lambda _: None)

    def run(*words: contract.ProgressState | Exception, patience: float = 1000) -> tuple[str, list[str]]:
        ledger: Any = FakeLedger(*words)
        last = follow_push.follow_to_end(ledger, "p", heard := Heard(), patience)
        assert ledger.words == []
        return last.state, heard.states

    return run


@pytest.mark.parametrize("end", ["succeeded", "partial", "failed", "refused", "interrupted"])
def test_a_push_is_followed_to_its_end(follow: Follow, end: contract.ProgressState) -> None:
    assert follow("enqueued", "copying", end) == (end, ["enqueued", "copying"])


def test_a_ledger_that_is_away_for_a_while_is_borne(follow: Follow) -> None:
    """Rule 7.5."""
    away = StateUnavailable("away")
    assert follow("copying", away, away, "copying", "succeeded") == ("succeeded", ["copying", "copying"])


def test_a_ledger_that_stays_away_is_told(follow: Follow) -> None:
    with pytest.raises(StateUnavailable):
        follow(StateUnavailable("away"), patience=-1)


def test_a_push_that_the_ledger_lost_is_told(follow: Follow) -> None:
    with pytest.raises(PushUnknown):
        follow("copying", PushUnknown("gone"))
