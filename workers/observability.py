"""Logs: to stderr, one line each."""

import logging
import sys
from typing import Final

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_CHATTY: Final = ("urllib3", "kombu", "amqp", "celery.bootsteps")


def configure_logging(level: str) -> None:
    """Send the logs of `level` and above to stderr; libraries that chatter are held to warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
