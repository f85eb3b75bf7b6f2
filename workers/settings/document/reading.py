"""Tables from JSON types, read strictly: an unknown key or a wrong type is a fault."""

import re
from collections.abc import Iterable
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from workers.settings.document.values import NO_NULL

_Table = TypeVar("_Table", bound=msgspec.Struct)


def read(document: Any, kind: type[_Table], faults: list[str], place: str = "") -> _Table:
    """Return `document` as a table; every unknown or wrong key becomes a fault and is omitted."""
    if not isinstance(document, dict):
        faults.append(f"{place}: expected a table")
        return kind()
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    values = {}
    for key, value in document.items():
        here = under(place, key)
        if key not in types:
            faults.append(f"{here} is not a known key{nearest(key, types)}")
            continue
        try:
            values[key] = _read_value(value, types[key], faults, here)
        except msgspec.ValidationError as error:
            faults.append(f"{here}: {reason_of(error, types[key])}")
    return kind(**values)


def _read_value(value: Any, kind: Any, faults: list[str], place: str) -> Any:
    # Convert each table separately: msgspec stops at the first fault and does not name the key of a dict.
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return read(value, kind, faults, place)
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            faults.append(f"{place}: expected a table")
            return {}
        return {name: read(item, get_args(kind)[1], faults, under(place, name)) for name, item in value.items()}
    return msgspec.convert(value, kind, strict=True)


def under(place: str, key: str) -> str:
    """Return the TOML name of a key in a table; the part before an `@` may be a secret and is masked."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
        _, at, rest = key.rpartition("@")
        key = f'"{"…@" if at else ""}{rest[:100]}"'
    return f"{place}.{key}" if place else key


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message on `word`: the nearest known word, or all known words."""
    choices = sorted(known)
    # Only a fault needs it.
    from difflib import get_close_matches  # noqa: PLC0415

    near = get_close_matches(word, choices, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(choices)}"


def reason_of(error: msgspec.ValidationError, kind: Any) -> str:
    """Return the reason of a fault: the values that the type allows, or the words of msgspec."""
    choices = _choices(kind)
    if choices:
        return f"expected {' or '.join(choices)}"
    if repr(NO_NULL) in str(error):
        return "holds a null byte"
    reason = str(error).replace(" | null", "")
    return reason[0].lower() + reason[1:]


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for part in get_args(kind) for choice in _choices(part)]
