"""What is logged in the process of a command: its warnings go to stderr, without what looks like a credential."""

import logging

from workers.cli.output import printable
from workers.observability.masking import mask


class MaskingFormatter(logging.Formatter):
    """Lines as Python writes them where nobody configured logs, masked (BEHAVIOUR 6.7)."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it if there is one."""
        return printable(mask(super().format(record)))


def mask_logs() -> None:
    """Mask what is logged from now on.

    Not by a handler of the root: Celery and kombu, which are quiet as long as nobody configures logs, would speak up.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(MaskingFormatter())
