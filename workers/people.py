"""Who acts on pushes and tags, and the words for what came of it."""

import os
import pwd
import socket
from collections import Counter
from typing import Final

from tasks import contract

_SHOWN_FAULTS: Final = 5
_LEFT: Final = {"moved": "left alone", "skipped": "left as it is"}


def this_person() -> str:
    """Return the account of this process and its machine, such as `alice@build-7`."""
    try:
        # Not by a variable, which anybody may set.
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def outcome_of(undo: contract.Undo) -> str:
    """Return the number of tags by what became of them, and the first faults."""
    counted = Counter(tag.action for tag in undo.tags)
    told = ", ".join(f"{number} {_LEFT.get(how, how)}" for how, number in counted.items())
    faults = [f"{tag.reference}: {tag.error.message}" for tag in undo.tags if tag.error is not None]
    return "; ".join([told or "no tag was moved", *faults[:_SHOWN_FAULTS]])
