"""Write a result that is drawn for people to stdout."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO, TypeVar

from workers.cli.canvas import Canvas, Plain
from workers.cli.output import emit, is_terminal, result_stream

Result = TypeVar("Result")


def show(result: Result, draw: Callable[[Canvas, Result], None]) -> None:
    """Render a result with `draw` and write it to stdout."""
    emit(f"{drawn(result, draw, result_stream())}\n")


def drawn(result: Result, draw: Callable[[Canvas, Result], None], stream: TextIO | None) -> str:
    """Return a result rendered with `draw` for one stream; only a terminal limits the width (columns)."""
    if stream is None or not is_terminal(stream):
        plain = Plain()
        draw(plain, result)
        return "\n".join(plain.lines)
    from rich.console import Console, ConsoleDimensions

    from workers.cli.screen import Screen

    console = Console(highlight=False, file=stream)
    if console.is_dumb_terminal:
        # rich takes each of them to have 80 columns.
        with suppress(OSError):
            console.size = ConsoleDimensions(*os.get_terminal_size(stream.fileno()))
    with console.capture() as captured:
        draw(Screen(console), result)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
