"""The logs of a command."""

import logging

from workers.cli.logs import MaskingFormatter


def shown(text: str, error: Exception | None = None) -> list[str]:
    """Return the lines that an event makes."""
    about = (type(error), error, None) if error is not None else None
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, "%s", (text,), about)
    return MaskingFormatter().format(record).splitlines()


def test_what_a_registry_says_begins_no_line_and_moves_no_cursor() -> None:
    assert shown("linux/\x1b[2Jamd64\nError [forged] \x9b31m") == [r"linux/\x1b[2Jamd64\nError [forged] \x9b31m"]


def test_the_lines_of_a_traceback_are_indented_and_hold_no_secret() -> None:
    first, *others = shown("broke", ValueError("redis://:made-up@host\nError [forged]\x1b[2J"))
    assert first == "broke"
    assert others == ["  ValueError: redis://***@host", r"  Error [forged]\x1b[2J"]
