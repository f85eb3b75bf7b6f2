"""The canvas on which results are drawn: styled words, lines and tables. `Plain` draws plain text."""

from collections.abc import Sequence
from typing import Protocol

# No line of a pipe or a file is wrapped.
_WIDTH = 1_000_000
_GAP = "  "


class Words:
    """Text in parts, each a string or a string with its style."""

    def __init__(self, *parts: str | tuple[str, str]) -> None:
        self.parts = [(part, "") if isinstance(part, str) else part for part in parts]

    @property
    def plain(self) -> str:
        """The text without styles."""
        return "".join(text for text, _ in self.parts)


class Canvas(Protocol):
    """A receiver of lines and tables; `width` is the number of columns."""

    width: int

    def print(self, line: Words | str = "", style: str = "", *, wrap: bool = True) -> None:
        """Draw one line; a terminal breaks it where it ends, by `wrap` between words."""
        ...

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[Words]]) -> None:
        """Draw a table."""
        ...


class Plain:
    """A canvas of plain text in `lines`."""

    width = _WIDTH

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, line: Words | str = "", style: str = "", *, wrap: bool = True) -> None:
        del style, wrap
        text = line if isinstance(line, str) else line.plain
        self.lines += [each.rstrip() for each in text.split("\n")]

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[Words]]) -> None:
        cells = [headers, *([word.plain for word in row] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            self.print(_GAP.join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)))
