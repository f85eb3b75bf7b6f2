"""Log lines: one JSON object each for machines, readable for people, about whom they are, and without secrets."""

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tasks import telemetry
from workers.observability.logs import configure_logging
from workers.settings.document import LogFormat

LOG = logging.getLogger("tasks.transfer.example")
SECRET = "Gehe1m"


class Stderr(io.StringIO):
    """Stand in for the process' stderr from `configure` on: pytest puts its own in place before each test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.terminal = False
        self._monkeypatch = monkeypatch

    def configure(self, level: str, log_format: LogFormat = "auto") -> None:
        self._monkeypatch.setattr(sys, "stderr", self)
        configure_logging(level, log_format)

    def isatty(self) -> bool:
        return self.terminal

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


def fail_with(password: str, message: str) -> None:
    raise ValueError(message)


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stderr]:
    """Undo afterwards what a test configures."""
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = root.handlers[:], root.level
    # What is there belongs to pytest, and must not be closed.
    root.handlers[:] = []
    yield Stderr(monkeypatch)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    threading.excepthook = hook


def test_a_line_is_one_json_object_with_time_level_logger_and_event(stderr: Stderr) -> None:
    stderr.configure("info", "json")
    LOG.info("%s of %d\nblobs", "three", 4)
    (line,) = stderr.lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "three of 4\nblobs", "level": "info", "logger": "tasks.transfer.example"}


def test_a_line_says_for_which_push_digest_and_reference_it_is(stderr: Stderr) -> None:
    stderr.configure("info", "json")
    with telemetry.context(push_id="one"):
        with telemetry.context(digest="sha256:ab", reference="host/app:1"):
            LOG.info("inner")
        LOG.info("outer", extra={"items": 3})
    LOG.info("outside")
    inner, outer, outside = stderr.lines()
    assert (inner["push_id"], inner["digest"], inner["reference"]) == ("one", "sha256:ab", "host/app:1")
    assert (outer["push_id"], outer["items"], "digest" in outer) == ("one", 3, False)
    assert "push_id" not in outside


def test_fields_that_json_does_not_know_are_shown_somehow(stderr: Stderr) -> None:
    stderr.configure("info", "json")
    LOG.info("event", extra={"error": ValueError("x"), "which": {1}})
    assert stderr.lines()[0]["error"] == "ValueError('x')"


def test_a_traceback_is_one_field_without_the_values_of_variables(stderr: Stderr) -> None:
    """Rule 6.7."""
    for log_format in ("json", "console"):
        stderr.configure("info", log_format)
        try:
            fail_with(SECRET, "broken")
        except ValueError:
            LOG.exception("it broke")
    text = stderr.getvalue()
    assert SECRET not in text
    assert text.count("ValueError: broken") == 2
    assert json.loads(text.splitlines()[0])["exception"].startswith("Traceback")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_whatever_is_logged_has_no_credentials(stderr: Stderr, log_format: LogFormat) -> None:
    """Rule 6.7."""
    stderr.configure("info", log_format)
    with telemetry.context(reference="https://me:Gehe1m@host/app:1"):
        LOG.info("to %s", "redis://:Gehe1m@host/0", extra={"headers": {"Authorization": "Basic Gehe1m"}})
        try:
            fail_with("", "Authorization: Bearer Gehe1m")
        except ValueError:
            LOG.exception("it broke")
    text = stderr.getvalue()
    assert "it broke" in text
    assert SECRET not in text


def test_auto_is_json_where_nobody_looks_and_columns_on_a_terminal(stderr: Stderr) -> None:
    stderr.configure("info")
    LOG.info("to a file")
    assert stderr.lines()[0]["event"] == "to a file"
    stderr.truncate(0)
    stderr.terminal = True
    stderr.configure("info")
    with telemetry.context(push_id="one"):
        LOG.info("to a terminal")
    text = stderr.getvalue()
    assert "\x1b[" in text
    assert "to a terminal" in text
    assert text.count("\n") == 1


def test_columns_in_a_file_have_no_colours(stderr: Stderr) -> None:
    stderr.configure("info", "console")
    with telemetry.context(push_id="one"):
        LOG.info("plain")
    assert "\x1b" not in stderr.getvalue()
    assert "plain [tasks.transfer.example] push_id=one" in stderr.getvalue()


def test_levels_below_the_chosen_one_are_silent_and_chatty_libraries_are_held_to_warnings(stderr: Stderr) -> None:
    stderr.configure("INFO", "json")
    LOG.debug("debug")
    logging.getLogger("urllib3").info("chatter")
    logging.getLogger("urllib3").warning("warning")
    stderr.configure("error", "json")
    logging.getLogger("urllib3").warning("warning")
    LOG.error("error")
    assert [line["event"] for line in stderr.lines()] == ["warning", "error"]


def test_a_thread_that_ends_by_an_exception_says_so_in_the_log(stderr: Stderr) -> None:
    stderr.configure("info", "json")

    def fail() -> None:
        raise ValueError("redis://:Gehe1m@host/0")

    thread = threading.Thread(target=fail, name="renewal")
    thread.start()
    thread.join()
    (line,) = stderr.lines()
    assert (line["level"], line["event"]) == ("critical", "renewal ended")
    assert "redis://***@host/0" in line["exception"]


def test_a_warning_is_a_line_too(stderr: Stderr) -> None:
    stderr.configure("info", "json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line,) = stderr.lines()
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "DeprecationWarning: old" in line["event"]


def test_neither_what_celery_adds_nor_an_endless_line_is_shown(stderr: Stderr) -> None:
    stderr.configure("info", "json")
    LOG.info("x" * 5000, extra={"data": {"args": ["Gehe1m"]}})
    (line,) = stderr.lines()
    assert line["event"] == "x" * 4000 + "…"
    assert "data" not in line


def test_what_a_registry_says_begins_no_line_of_the_console_and_moves_no_cursor(stderr: Stderr) -> None:
    stderr.configure("info", "console")
    LOG.info("platform %s", "linux/\x1b[2Jamd64\n2026 [info] forged", extra={"reference": "a\rb\x9b31m"})
    (line,) = stderr.getvalue().splitlines()
    assert line.isprintable()
    assert r"linux/\x1b[2Jamd64\n2026" in line


def test_an_error_that_quotes_a_registry_begins_no_line_of_the_console_either(stderr: Stderr) -> None:
    """A traceback has lines of its own, all of them indented."""
    stderr.configure("info", "console")
    LOG.error("broke", exc_info=ValueError("\x1b[2Jodd\n2026 [info] forged\r\x9b31m \u202e"))
    first, *others = stderr.getvalue().splitlines()
    assert "broke" in first
    assert all(line.isprintable() and line.startswith("  ") for line in others if line)
    assert r"  ValueError: \x1b[2Jodd" in others


@pytest.mark.parametrize("odd", ["\ud800", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066", "\n"])
def test_no_control_character_stands_in_a_line_of_json_as_it_is(stderr: Stderr, odd: str) -> None:
    """A line is a value of JSON, and shown on a terminal too."""
    stderr.configure("info", "json")
    LOG.info("a%sb", odd, extra={"reference": odd, "many": [odd]})
    text = stderr.getvalue()
    assert text.removesuffix("\n").isprintable()
    (line,) = stderr.lines()
    assert (line["event"], line["reference"], line["many"]) == (f"a{odd}b", odd, [odd])
