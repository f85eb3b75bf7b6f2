"""Logs to stderr, one line for each event: JSON for programs, columns for people."""

import io
import json
import logging
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from tasks import telemetry
from workers.observability.masking import mask
from workers.settings.document import LogFormat

if TYPE_CHECKING:
    from structlog.typing import Processor

_LOG: Final = logging.getLogger(__name__)
# Celery logs the whole report of a failed push in one line.
_LONGEST_EVENT: Final = 4000
_TRACEBACKS: Final = frozenset({"exception", "stack"})
# What JSON may hold as it is, and terminals obey: C1 controls, line ends, directions of writing.
_OBEYED: Final = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_CHATTY: Final = ("urllib3", "kombu", "amqp", "celery.bootsteps", "opentelemetry")


def configure_logging(level: str, log_format: LogFormat = "auto", worker: str | None = None) -> None:
    """Send the logs of `level` and above to stderr; verbose libraries are limited to warnings.

    Each line has the name of the `worker`, if there is one. `auto` is `console` if stderr is a terminal, else `json`.
    """
    on_terminal = sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(worker, console=log_format == "console" or (log_format == "auto" and on_terminal)))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_uncaught


def _formatter(worker: str | None, *, console: bool) -> logging.Formatter:
    import structlog  # noqa: PLC0415 - producers and the command line import this package without structlog

    # The default renderers of tracebacks show local variables, which may hold credentials.
    tracebacks: list[Processor] = [_escape] if console else [structlog.processors.format_exc_info]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_write_traceback, pad_event_to=0)
        if console
        else structlog.processors.JSONRenderer(serializer=_encode, sort_keys=False)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            partial(_add_context, {"worker": worker} if worker else {}),
            structlog.stdlib.ExtraAdder(),
            _leave_out_bulk,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            *tracebacks,
            renderer,
            _mask,
        ],
    )


def _add_context(
    fixed: Mapping[str, str], _: Any, __: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event.update(fixed)
    event.update(telemetry.bound())
    return event


def _leave_out_bulk(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove the full arguments and results that Celery adds to its lines: the push's own lines have the summary."""
    event.pop("data", None)
    event["event"] = _shortened(event["event"])
    return event


def _escape(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape control characters as JSON does: a registry's text can neither start a line nor move the cursor."""
    for key, value in event.items():
        if isinstance(value, str) and key not in _TRACEBACKS and not value.isprintable():
            event[key] = _escaped(value)
        elif key in _TRACEBACKS and isinstance(value, str):
            event[key] = _indented(value)
    return event


def _write_traceback(stream: TextIO, exception: Any) -> None:
    """Write a traceback whose lines cannot be taken for those of the log: an error may quote a registry."""
    import structlog  # noqa: PLC0415 - as above

    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, exception)
    stream.write(_indented(plain.getvalue()))


def _indented(text: str) -> str:
    return "\n".join(f"  {_escaped(line)}" for line in text.split("\n"))


def _escaped(text: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_EVENT else f"{text[:_LONGEST_EVENT]}…"


def _mask(_: Any, __: str, line: Any) -> Any:
    return mask(line)


def _encode(event: Any, **_: Any) -> str:
    try:
        text = msgspec.json.encode(event, enc_hook=repr).decode()
    except UnicodeEncodeError:
        # A lone surrogate: logging would write all that the line is about as it is, beside the log.
        text = json.dumps(event, default=repr)
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _log_uncaught(caught: threading.ExceptHookArgs) -> None:
    if caught.exc_value is None:
        return
    name = caught.thread.name if caught.thread else "a thread"
    _LOG.critical("%s ended", name, exc_info=(caught.exc_type, caught.exc_value, caught.exc_traceback))
