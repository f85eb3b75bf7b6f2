"""The logs of a command: warnings go to stderr, with credentials masked."""

import logging
import sys
from typing import Any, Final

from workers.printable import printable

_EXCHANGES: Final = "tasks.registry.http.connections"
# The outcome of each copy and tag is in the report, which the command shows.
_REPORTED: Final = frozenset(
    {"tasks.transfer.publish.delivery", "tasks.transfer.publish.tag_reports", "tasks.transfer.steps.copy"}
)


class MaskingFormatter(logging.Formatter):
    """A formatter of masked lines in the form of Python's unconfigured logging (BEHAVIOUR 6.7)."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback if there is one."""
        # Few commands log anything.
        from workers.observability.masking import mask

        return "\n".join(map(printable, mask(super().format(record)).split("\n")))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line of the message: text from outside begins no line of its own."""
        return super().formatMessage(record).replace("\n", r"\n")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return the traceback, indented: its lines cannot be taken for messages."""
        from textwrap import indent

        return indent(super().formatException(ei), "  ", lambda _: True)


def mask_logs(*, verbose: bool = False) -> None:
    """Mask all logs from now on, and omit the lines that repeat the report.

    With `verbose`, each request to a registry and its answer are logged too.

    This does not use a handler of the root logger: Celery and kombu are silent only while logging is unconfigured.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(MaskingFormatter())
        logging.lastResort.addFilter(_is_news)
    if verbose:
        _show_exchanges()


def _show_exchanges() -> None:
    logger = logging.getLogger(_EXCHANGES)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False


def _is_news(record: logging.LogRecord) -> bool:
    return record.name not in _REPORTED
