"""Points in time as users write them: an age, or a date. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

_AGE: Final = re.compile(r"(\d+) ?(s|m|h|d|w)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def parse_since(text: str, now: float) -> float:
    """Return seconds since the epoch for `90m`, `2h`, `3d`, or an ISO 8601 date in this machine's time zone.

    Raises ValueError.
    """
    if age := _AGE.fullmatch(text.strip()):
        return now - int(age[1]) * _SECONDS[age[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is neither an age such as 90m, 2h, 3d nor a date such as 2024-12-31") from None
    return (moment if moment.tzinfo else moment.astimezone()).astimezone(UTC).timestamp()
