"""The header fields of an answer (RFC 9110, 5; RFC 9112, 5)."""

from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPException, LineTooLong
from typing import Any, BinaryIO, Final

_LONGEST_LINE: Final = 65_536
_MOST_LINES: Final = 100
_LINE_ENDS: Final = frozenset({b"\r\n", b"\n"})


class Headers(Mapping[str, str]):
    """Fields by name, whatever its case; several fields of one name are one list."""

    __slots__ = ("_values",)

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in fields:
            key = name.lower()
            earlier = self._values.get(key)
            self._values[key] = value if earlier is None else f"{earlier}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        return self._values.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._values)})"


def read_headers(file: BinaryIO) -> Headers:
    """Read the lines up to the empty one; raises HTTPException for too many, for a long one, and without an end.

    A line that is no field is left out. Not by `email`, as http.client does: it takes as long as all else of a request.
    """
    fields: list[tuple[str, str]] = []
    for _ in range(_MOST_LINES + 1):
        line = file.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise LineTooLong("header line")
        if line in _LINE_ENDS:
            return Headers(fields)
        if not line.endswith(b"\n"):
            raise HTTPException("the head of the answer has no end")
        # RFC 9112, 2.2: a bare CR is a space.
        text = line.decode("latin-1").rstrip("\r\n").replace("\r", " ").replace("\0", " ")
        if text[:1] in {" ", "\t"}:
            # RFC 9112, 5.2: a line that continues the one before.
            if fields:
                name, value = fields[-1]
                fields[-1] = (name, f"{value} {text.strip()}")
            continue
        name, colon, value = text.partition(":")
        if colon and name and name.isascii() and name.isprintable() and " " not in name:
            fields.append((name, value.strip(" \t")))
    raise HTTPException(f"more than {_MOST_LINES} header lines")
