"""Where a command writes: results to stdout, all else to stderr, nothing that a terminal would take for a command."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
_CHOSEN: Final = "imagepusher.output"


def output_option(command: Command) -> Command:
    """Add `--output`, which is read before all else so that errors know it too."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        is_eager=True,
        expose_value=False,
        callback=lambda context, _, value: context.meta.update({_CHOSEN: value}),
        help="A table for people, or JSON on stdout and nothing else there.",
    )(command)


def wants_json(context: click.Context) -> bool:
    """Tell whether the result is asked for as JSON."""
    return bool(context.meta.get(_CHOSEN) == "json")


def emit(text: str) -> None:
    """Write text to stdout; a reader that went away is no error."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would fail again, and loudly, when the interpreter flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def emit_json(value: Any) -> None:
    """Write a value made of JSON's types to stdout."""
    emit(json.dumps(value, indent=2) + "\n")


def note(text: str) -> None:
    """Write a line to stderr."""
    click.echo(printable(text), err=True)


def printable(text: str) -> str:
    """Return text whose control characters, newlines aside, are shown and not obeyed."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)
