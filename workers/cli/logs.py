"""What is logged in the process of a command: its warnings go to stderr, without what looks like a credential."""

import logging
import sys
from typing import Final

from workers.cli.output import printable
from workers.observability.masking import mask

_EXCHANGES: Final = "tasks.registry.http.connections"
# What became of each copy and tag is in the report, which a command shows.
_REPORTED: Final = frozenset({"tasks.transfer.publish.delivery", "tasks.transfer.steps.copy"})


class MaskingFormatter(logging.Formatter):
    """Lines as Python writes them where nobody configured logs, masked (BEHAVIOUR 6.7)."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it if there is one."""
        return printable(mask(super().format(record)))


def mask_logs(*, verbose: bool = False) -> None:
    """Mask what is logged from now on, and leave out what the report says too.

    With `verbose` each request to a registry and its answer is a line too.

    Not by a handler of the root: Celery and kombu, which are quiet as long as nobody configures logs, would speak up.
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
