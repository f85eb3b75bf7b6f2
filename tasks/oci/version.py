"""The order of versions and times of images (semver.org 2.0.0, RFC 3339). Pure."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from tasks.patterns import late

VERSION: Final = "org.opencontainers.image.version"
CREATED: Final = "org.opencontainers.image.created"

# Usual leniency: a leading v, any number of numbers, leading zeros.
_SEMANTIC: Final = late(r"[vV]?(\d+(?:\.\d+)*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)
# Reproducible builds set their clocks to one of these years.
_NO_TIME: Final = frozenset({1, 1970})

# A longer text is no version: anybody may write it, and patterns of settings and int() take their time for long ones.
_LONGEST: Final = 256

# A key by which versions are compared; None where a text names none.
Key = tuple[Any, ...] | None
Order = Callable[[str], Key]


class Age(msgspec.Struct, frozen=True):
    """The versions and the times of creation that an image, or each image of an index, declares."""

    versions: tuple[str, ...] = ()
    created: tuple[str, ...] = ()


UNKNOWN_AGE: Final = Age()


class _Config(msgspec.Struct):
    labels: dict[str, str | None] | None = msgspec.field(default=None, name="Labels")


class _Said(msgspec.Struct):
    """The fields of a manifest, an index or a configuration about its age."""

    annotations: dict[str, str | None] | None = None
    created: str | None = None
    config: _Config | None = None


_decoder: Final = msgspec.json.Decoder(_Said)


def said_age(content: bytes) -> Age:
    """Return the age that a manifest, an index or a configuration declares, an empty one for unreadable content."""
    try:
        said = _decoder.decode(content)
    except (ValueError, RecursionError):
        return Age()
    labels = (said.config.labels if said.config else None) or {}
    annotations = said.annotations or {}
    version = annotations.get(VERSION) or labels.get(VERSION)
    created = annotations.get(CREATED) or said.created or labels.get(CREATED)
    return Age((version,) if version else (), (created,) if created else ())


def _of_versions(key: Order) -> Order:
    return lambda text: key(text) if len(text) <= _LONGEST else None


def newest(said: Iterable[str], order: Order) -> tuple[str, Key]:
    """Return the newest of the texts with its key, ("", None) if no text has a key."""
    known = [(text, key) for text in said if (key := order(text)) is not None]
    return max(known, key=lambda each: each[1], default=("", None))


def order_of(pattern: str | None) -> Order:
    """Return the order of versions: by the groups of a pattern, else that of semantic versions."""
    if pattern is None:
        return _of_versions(semantic_key)
    compiled = re.compile(pattern)

    def key(text: str) -> Key:
        match = compiled.fullmatch(text)
        return None if match is None else tuple(_identifier(group or "") for group in match.groups())

    return _of_versions(key)


def semantic_key(text: str) -> Key:
    """Return the precedence of a semantic version, without build metadata; None for other text."""
    match = _SEMANTIC().fullmatch(text)
    if match is None:
        return None
    numbers = [int(number) for number in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    if match[2] is None:
        return tuple(numbers), (1,)
    return tuple(numbers), (0, *(_identifier(part) for part in match[2].split(".")))


def time_key(text: str) -> Key:
    """Return the instant of a time in RFC 3339; None for other text, and for the times of reproducible builds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None if moment.year in _NO_TIME else (moment,)


def _identifier(text: str) -> tuple[int, int, str]:
    """Return the key of an identifier: numbers by their value, before texts."""
    return (0, int(text), "") if text.isascii() and text.isdigit() else (1, 0, text)
