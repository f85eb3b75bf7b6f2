"""Files of the state folder: for their owner alone, and never somebody else's."""

import os
from pathlib import Path

_PRIVATE = 0o600


def open_own(path: Path, flags: int) -> int:
    """Open a file, made if it is absent, for its owner alone, and return its descriptor; raises OSError.

    Whoever may write to the folder could otherwise lead to another file by a symbolic link.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
    try:
        os.fchmod(descriptor, _PRIVATE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
