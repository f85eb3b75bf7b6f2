"""The header fields of an answer (RFC 9110, 5; RFC 9112, 5)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final

from tasks.registry.http.message_faults import AnswerMalformed

LONGEST_LINE: Final = 65_536
_MOST_LINES: Final = 100
_NAME: Final = re.compile(rb"[!-9;-~]+")
_LINE_ENDS: Final = frozenset({b"\r\n", b"\n"})


class Headers(Mapping[str, str]):
    """The fields of an answer by name, in any case; those of one name are joined by commas."""

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
    """Read the lines up to the empty one; raises AnswerMalformed for too many, for a long one, and without an end.

    A line that is no field is left out.
    """
    fields: list[tuple[str, str]] = []
    for _ in range(_MOST_LINES + 1):
        line = file.readline(LONGEST_LINE + 1)
        if line in _LINE_ENDS:
            return Headers(fields)
        if len(line) > LONGEST_LINE:
            raise AnswerMalformed("a header line is too long")
        if not line.endswith(b"\n"):
            raise AnswerMalformed("the head of the answer has no end")
        # No expression for the whole line: one with a long run of spaces would take it minutes.
        name, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(name):
            fields.append((name.decode(), _text(value.strip(b" \t\r\n"))))
        elif fields and line[:1] in {b" ", b"\t"}:
            # RFC 9112, 5.2: a line that continues the one before.
            earlier, begun = fields[-1]
            fields[-1] = (earlier, f"{begun} {_text(line.strip())}")
    raise AnswerMalformed(f"more than {_MOST_LINES} header lines")


def _text(value: bytes) -> str:
    """Return a value; RFC 9112, 2.2 and RFC 9110, 5.5: CR and NUL in it are spaces."""
    text = value.decode("latin-1")
    return text if text.isprintable() else text.replace("\r", " ").replace("\0", " ")
