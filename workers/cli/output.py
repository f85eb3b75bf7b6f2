"""The output of a command: results to stdout, all else to stderr, without control characters for a terminal."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any, Final, TextIO, TypeVar

import click

from workers.printable import printable

Command = TypeVar("Command", bound=Callable[..., Any])
_claimed: TextIO | None = None
_CHOSEN: Final = "imagepusher.output"
_SENT: Final = "imagepusher.sent"
_JSON_PAIRS: Final = frozenset({("-o", "json"), ("--output", "json")})
_JSON_WORDS: Final = frozenset({"-ojson", "--output=json"})


def output_option(command: Command) -> Command:
    """Add `--output`, which is read before all other options so that it applies to errors too."""
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


def expect_output(context: click.Context, arguments: Sequence[str]) -> None:
    """Note the output format that a command line seems to choose: a faulty one ends before its options are read."""
    pairs = pairwise([*arguments, ""])
    if any(pair in _JSON_PAIRS or pair[0] in _JSON_WORDS for pair in pairs):
        context.meta[_CHOSEN] = "json"


def wants_json(context: click.Context) -> bool:
    """Tell whether the result is to be JSON."""
    return bool(context.meta.get(_CHOSEN) == "json")


@contextmanager
def claimed_stdout() -> Iterator[None]:
    """Keep stdout for results: redirect the output of plug-ins and libraries to stderr."""
    global _claimed  # noqa: PLW0603 - there is one stdout
    try:
        # A stdout that is closed, or that a test or host program has replaced, is left alone.
        own = os.dup(1) if sys.stdout is sys.__stdout__ else -1
    except OSError:
        own = -1
    if own < 0:
        yield
        return
    encoding = (sys.stdout.encoding if sys.stdout else None) or "utf-8"
    try:
        with open(own, "w", encoding=encoding, closefd=False) as stream:
            with suppress(OSError):
                os.dup2(2, 1)
            _claimed = stream
            yield
    finally:
        _claimed = None
        with suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        os.dup2(own, 1)
        os.close(own)


def result_stream() -> TextIO | None:
    """Return the stream of results, None if stdout is closed."""
    return _claimed or sys.stdout


def note_sent(context: click.Context) -> None:
    """Note that a push is sent: from now on it may write to registries."""
    context.meta[_SENT] = True


def was_sent(context: click.Context) -> bool:
    """Tell whether the command has sent a push."""
    return bool(context.meta.get(_SENT))


def emit(text: str) -> None:
    """Write text to stdout; a closed stdout, or a reader that has gone, is not an error.

    Raises click's ClickException if the text cannot be written for another reason, such as a full disk.
    """
    stream = result_stream()
    if stream is None:
        return
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except OSError as error:
        _silence(stream)
        if not isinstance(error, BrokenPipeError):
            raise click.ClickException(f"The result cannot be written to stdout: {error.strerror}.") from error


def emit_json(value: Any) -> None:
    """Write a value of JSON types to stdout as JSON."""
    emit(json.dumps(value, indent=2) + "\n")


def emit_as_json(context: click.Context, result: Any) -> bool:
    """Write a result of the contract's types to stdout if JSON is requested; return whether it is."""
    if not wants_json(context):
        return False
    import msgspec

    emit_json(msgspec.to_builtins(result))
    return True


def note(text: str) -> None:
    """Write a line to stderr; a closed stderr is not an error."""
    note_drawn(printable(text))


def note_error(head: str, text: str) -> None:
    """Write an error to stderr, its head in red on a terminal."""
    note_drawn(f"{click.style(head, fg='red', bold=True)} {printable(text)}")


def note_drawn(text: str) -> None:
    """Write text that was rendered for stderr, colours included."""
    try:
        click.echo(text, err=True)
    except OSError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Discard buffered and later output: otherwise it would fail again, with a traceback, at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a standard stream (None if it is closed) is a terminal."""
    return stream is not None and stream.isatty()
