"""Regular expressions that are compiled at their first use: most of them are for what few answers hold."""

import re
from collections.abc import Callable
from functools import cache
from typing import AnyStr


def late(text: AnyStr, flags: int = 0) -> Callable[[], re.Pattern[AnyStr]]:
    """Return a function that returns the compiled pattern."""
    return cache(lambda: re.compile(text, flags))
