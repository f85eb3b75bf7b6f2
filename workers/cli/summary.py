"""The report of a push as Markdown, for the summary page of a CI job."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from tasks import contract
from workers.amounts import count, short, size
from workers.printable import printable

_MARKS: Final = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#~&"})


def ensure_writable(path: str) -> None:
    """Raise click's UsageError if a summary could not be written after the push."""
    try:
        with Path(path).open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise click.UsageError(f"The summary cannot be written to {path}: {error.strerror}.") from None


def append_summary(path: str, report: contract.PushReport) -> None:
    """Append the summary of a push to a file, which is created if missing; raises click's ClickException."""
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write("\n".join(_lines(report)) + "\n")
    except OSError as error:
        raise click.ClickException(f"The summary cannot be written to {path}: {error.strerror}.") from error


def _lines(report: contract.PushReport) -> Iterator[str]:
    totals = report.totals
    tags = [tag for item in report.items for tag in item.tags]
    yield f"## Push {_text(report.push_id)} {report.state}"
    yield ""
    yield (
        f"{count(len(tags), 'tag')} of {count(len(report.items), 'image')}, {size(totals.bytes_copied)} copied"
        f" in {totals.seconds:.1f} s."
    )
    yield ""
    yield from _table(report.items)
    yield from _section("Warnings", list(_warnings(report)))
    yield from _section("Failures", list(_failures(report.items)))


def _table(items: Sequence[contract.ItemReport]) -> Iterator[str]:
    yield "| Image | Action | Old | New | Kept platforms |"
    yield "|---|---|---|---|---|"
    for item in items:
        yield f"| **{_text(item.source)}** | {item.kind or ''} | | {_digest(item.digest)} | |"
        for tag in item.tags:
            old, new = (_digest(tag.old_digest) or "none"), (_digest(tag.new_digest) or "none")
            yield f"| {_text(tag.reference)} | {tag.action} | {old} | {new} | {_text(', '.join(tag.kept_platforms))} |"
    yield ""


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"### {title}"
        yield ""
        yield from (f"- {line}" for line in lines)
        yield ""


def _warnings(report: contract.PushReport) -> Iterator[str]:
    for item in report.items:
        for tag in item.tags:
            yield from (f"{_text(tag.reference)}: {_text(notice.message)}" for notice in tag.warnings)
    yield from map(_text, report.warnings)


def _failures(items: Sequence[contract.ItemReport]) -> Iterator[str]:
    """Yield each fault once, with everything that it affects; its message says what to do."""
    befallen: dict[tuple[str, str], list[str]] = {}
    for item in items:
        for tag in item.tags:
            if tag.error is not None and not contract.is_harmless(tag.error):
                befallen.setdefault((tag.error.code, tag.error.message), []).append(tag.reference)
        if item.error is not None and not item.tags:
            befallen.setdefault((item.error.code, item.error.message), []).append(item.source)
    for (code, message), names in befallen.items():
        yield f"`{code}`: {_text(message)} ({_text(', '.join(names))})"


def _digest(digest: str | None) -> str:
    return f"`{short(digest)}`" if digest else ""


def _text(text: str) -> str:
    """Return text escaped for Markdown, on one line."""
    return printable(" ".join(text.split())).translate(_MARKS)
