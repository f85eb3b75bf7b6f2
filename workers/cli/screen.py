"""A terminal as a canvas: colours, lines that are broken at its width, tables that fit it."""

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from workers.cli.canvas import Words

_UNBOUNDED: Final = 1_000_000
_SHORTEST_HEADER: Final = 8


class Screen:
    """A canvas on a console of rich."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.width = console.width

    def print(self, line: Words | str = "", style: str = "", *, wrap: bool = True) -> None:
        words = Words(line) if isinstance(line, str) else line
        self._console.print(_text(words), style=style or None, overflow="fold", soft_wrap=not wrap)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[Words]]) -> None:
        """Draw a table; on a narrow terminal, draw the cells one below the other."""
        console = self._console
        drawing = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, header_style="dim", pad_edge=False)
        for header in headers:
            drawing.add_column(header, no_wrap=True)
        for row in rows:
            drawing.add_row(*map(_text, row))
        unbounded = console.options.update(width=_UNBOUNDED)
        drawn: RenderableType = drawing
        if Measurement.get(console, unbounded, drawing).maximum > console.width:
            drawn = _stacked(headers, rows)
        console.print(drawn)


def _text(words: Words) -> Text:
    return Text.assemble(*words.parts, overflow="fold")


def _stacked(headers: Sequence[str], rows: Sequence[Sequence[Words]]) -> Text:
    drawn = Text(overflow="fold")
    width = max(_SHORTEST_HEADER, *(len(header) for header in headers)) + 1
    for row in rows:
        drawn.append_text(_text(row[0])).append("\n")
        for header, cell in zip(headers[1:], row[1:], strict=True):
            if cell.plain:
                drawn.append(f"    {header.lower():<{width}}", style="dim").append_text(_text(cell)).append("\n")
    drawn.rstrip()
    return drawn
