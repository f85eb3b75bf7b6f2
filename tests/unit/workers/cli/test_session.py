"""What a signal does to a command, whoever started it (BEHAVIOUR 7.8)."""

import signal
from collections.abc import Iterator

import click
import pytest

from workers.cli import session


@pytest.fixture
def signals() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    kept = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, kept, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("set_before", [signal.SIG_DFL, lambda *_: None], ids=["nothing", "a handler"])
def test_a_signal_interrupts_a_command(
    signals: None, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, set_before: signal.Handlers
) -> None:
    """Rule 7.8: also in a process where something else, coverage say, has a handler of its own."""
    signal.signal(number, set_before)
    told: list[str] = []
    monkeypatch.setattr(session, "_leave", lambda _, text: told.append(text))
    with session.interruptible(click.Context(click.Command("wait")), "It goes on."):
        signal.raise_signal(number)
        told.append("It was not interrupted.")
    assert told == ["It goes on."]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(signals: None, number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
    with session.interruptible(click.Context(click.Command("wait")), ""):
        signal.raise_signal(number)
