"""Pushes as a table: one line for each, as wide as the terminal."""

import time
from collections.abc import Sequence
from typing import Any, Final

from tasks import contract
from tasks.transfer.ports import Intervention
from workers.amounts import age, count, told_progress
from workers.cli.canvas import Canvas, Words
from workers.cli.push_outcome import how_it_stands
from workers.cli.show import show
from workers.cli.tables import STYLES
from workers.printable import printable
from workers.recorded_push import Remembered

# The minimum width of an image's name on the line of its push; a narrower terminal shows it on a second line.
_SHORTEST_IMAGE: Final = 12
_GAP: Final = 2


def show_pushes(pushes: Sequence[Remembered], *, left_out: int, remembered: int) -> None:
    """Write the table to stdout, and the number of pushes that it omits."""

    def draw(canvas: Canvas, pushes: Sequence[Remembered]) -> None:
        if not pushes:
            canvas.print("No push is remembered." if not remembered else "No push is like that.")
            return
        draw_pushes(canvas, pushes, time.time())
        if left_out:
            canvas.print(f"\n{count(left_out, 'push')} more: --all lists them.", style="dim")

    show(pushes, draw)


def show_push(push: Remembered, acts: Sequence[Intervention]) -> None:
    """Write the state of one push to stdout, and what people did to it."""

    def draw(canvas: Canvas, push: Remembered) -> None:
        now = time.time()
        draw_pushes(canvas, [push], now)
        for act in acts:
            told = f"{act.action} by {act.user}, {age(now - act.at)} ago: {act.outcome or 'under way'}"
            canvas.print(printable(told))
        progress = push.progress
        if progress.state in contract.ENDED:
            return
        if progress.copies:
            canvas.print(told_progress(progress))
        canvas.print(printable(how_it_stands(progress)))

    show(push, draw)


def draw_pushes(canvas: Canvas, pushes: Sequence[Remembered], now: float) -> None:
    """Draw a line for each push, with its image on a second line if necessary; `now` is in epoch seconds."""
    signed = any(push.producer is not None for push in pushes)
    rows = [
        (
            printable(push.progress.push_id),
            push.state,
            f"{push.tags_done}/{push.progress.tags}",
            age(now - push.progress.created),
            *([printable(push.producer or "")] if signed else []),
        )
        for push in pushes
    ]
    header = ("Push", "State", "Tags", "Age", *(["By"] if signed else []))
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    room = canvas.width - sum(widths) - _GAP * len(widths)
    if room < -_GAP:
        # The line is too long even without the image: the id stands alone, and the rest below it.
        for push, (push_id, *rest) in zip(pushes, rows, strict=True):
            canvas.print(push_id)
            canvas.print(f"  {'  '.join(rest)}", STYLES.get(push.state, ""))
            _print_image(canvas, push)
        return
    wide = room >= _SHORTEST_IMAGE
    canvas.print(_line(header, widths, "Image" if wide else ""), "dim")
    for push, row in zip(pushes, rows, strict=True):
        line = _line(row, widths, _image(push.outline, room) if wide else "")
        start = widths[0] + _GAP
        end = start + len(row[1])
        canvas.print(Words(line[:start], (line[start:end], STYLES.get(push.state, "")), line[end:]))
        if not wide:
            _print_image(canvas, push)


def _print_image(canvas: Canvas, push: Remembered) -> None:
    if image := _image(push.outline, canvas.width - _GAP):
        canvas.print(f"  {image}", "dim")


def _line(cells: Sequence[str], widths: Sequence[int], image: str) -> str:
    padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
    return (" " * _GAP).join([*padded, image]).rstrip()


def _image(outline: dict[str, Any], room: int) -> str:
    """Return the first image and the number of others; a long name keeps its end."""
    if not outline["source"]:
        return ""
    more = f" +{outline['images'] - 1}" if outline["images"] > 1 else ""
    name = printable(outline["source"])
    left = room - len(more)
    return (name if len(name) <= left else f"…{name[-max(1, left - 1) :]}") + more
