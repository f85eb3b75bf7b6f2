"""The collected faults of a request, each with item, field and reason (BEHAVIOUR 1.2)."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from tasks.errors import RequestInvalid

Value = TypeVar("Value")
_SHOWN = 20


class Faults(msgspec.Struct, frozen=True):
    """A list of faults, shared by views that each belong to one item."""

    item: int | None = None
    found: list[dict[str, Any]] = msgspec.field(default_factory=list)
    _fields: set[tuple[int | None, str]] = msgspec.field(default_factory=set)

    def of(self, item: int) -> "Faults":
        """Return a view that adds faults of `item` to the same list."""
        return msgspec.structs.replace(self, item=item)

    def add(self, where: str, reason: str) -> None:
        """Note one fault."""
        self.found.append({"item": self.item, "field": where, "reason": reason})
        self._fields.add((self.item, where))

    def excuse(self, where: str) -> None:
        """Make `has` report a fault of a field whose fault was noted under a part of the field."""
        self._fields.add((self.item, where))

    def has(self, *fields: str) -> bool:
        """Tell whether one of these fields of the item has a fault."""
        return any((self.item, where) in self._fields for where in fields)

    def read(self, where: str, parse: Callable[[str], Value], text: str) -> Value | None:
        """Return the parsed `text`; note a fault and return None if `parse` raises ValueError."""
        try:
            return parse(text)
        except ValueError as error:
            self.add(where, str(error))
            return None

    def expect(self, where: str, value: Any, kind: type[Value], named: str) -> Value | None:
        """Return `value` if it is of `kind` (a bool is no int); else note a fault and return None."""
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        self.add(where, "is missing" if value is None else f"must be {named}, not {_json_name(value)}")
        return None

    def choose(self, where: str, value: Any, choices: tuple[str, ...]) -> bool:
        """Tell whether `value` is one of `choices`; note a fault otherwise."""
        if value in choices:
            return True
        self.add(where, f"must be one of {', '.join(choices)}")
        return False

    def unknown(self, where: str, document: dict[str, Any], known: frozenset[str]) -> None:
        """Note a fault for every unknown key."""
        for key in sorted(document.keys() - known, key=str):
            self.add(f"{where}{key}"[:100], f"is not a known key; known are {', '.join(sorted(known))}")

    def raise_any(self) -> None:
        """Raise RequestInvalid with all faults, if any: first those of the request, then item by item."""
        if not self.found:
            return
        self.found.sort(key=lambda fault: -1 if fault["item"] is None else fault["item"])
        lines = [
            f"{'' if fault['item'] is None else 'item {item}, '.format(**fault)}{fault['field']}: {fault['reason']}"
            for fault in self.found[:_SHOWN]
        ]
        more = f"; and {len(self.found) - _SHOWN} more" if len(self.found) > _SHOWN else ""
        count = "1 fault" if len(self.found) == 1 else f"{len(self.found)} faults"
        raise RequestInvalid(f"The request has {count}: {'; '.join(lines)}{more}.", self.found)


def _json_name(value: Any) -> str:
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
