"""The types of single values."""

from typing import Annotated, Final, Literal

from msgspec import Meta

_YEAR: Final = 365 * 86_400

# No path, URL or password may hold a null byte: for such a path, calls do not raise OSError but another error.
NO_NULL: Final = r"\A[^\0]*\Z"
Text = Annotated[str, Meta(min_length=1, pattern=NO_NULL)]
Variable = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
Count = Annotated[int, Meta(ge=1)]
# The upper bound excludes `inf`, which TOML allows.
Seconds = Annotated[float, Meta(gt=0, le=_YEAR)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=_YEAR)]
WholeSeconds = Annotated[int, Meta(ge=1, le=_YEAR)]

LABEL_VALUES: Final = 50

LogFormat = Literal["auto", "json", "console"]
