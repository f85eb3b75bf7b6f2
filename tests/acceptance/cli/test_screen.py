"""The real screen, at 50, 80 and 200 columns, with and without colours, UTF-8 and a cursor that can be moved."""

import re
from collections.abc import Iterator, Mapping

import pytest

from tests.acceptance.cli.conftest import Shell
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Image, Index, image, index, layer
from tests.support.tmux import Screen
from tests.support.workers import command, environment

COLUMNS = [50, 80, 200]
UTF_8: Mapping[str, str] = {"LC_ALL": "C.UTF-8", "TERM": "screen-256color"}
PLAIN: Mapping[str, Mapping[str, str]] = {
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TERM": "screen"},
    "no colour": {"LC_ALL": "C.UTF-8", "TERM": "screen", "NO_COLOR": "1"},
    "dumb": {"LC_ALL": "C.UTF-8", "TERM": "dumb"},
}


def screen(shell: Shell, columns: int, *arguments: str, terminal: Mapping[str, str] = UTF_8) -> Screen:
    return Screen(command(*arguments), {**environment(shell.settings), **terminal}, columns, shell.folder)


@pytest.fixture
def pushed(shell: Shell, multi_arch: Index, single_arch: Image) -> str:
    """Push twice, once under an id as long as a program chooses it."""
    shell.put_b(index([single_arch]))
    source = shell.put_a(multi_arch)
    for push_id in ("0f2b7c1e-7d3a-4b52-9a57-0d4d6f0c9b11", "mine"):
        assert shell("copy", source, shell.destination(), shell.destination("2"), "--push-id", push_id).code == 0
    return "mine"


@pytest.fixture
def silent(shell: Shell) -> Iterator[str]:
    """Return a source of two platforms that sends half of each blob and then nothing."""
    platforms = ("linux/amd64", "linux/arm64")
    images = [image(platform, [layer(f"{shell.name}{platform}", 3_000_000)]) for platform in platforms]
    shell.put_a(index(images))
    with FaultyProxy(shell.a.host, Chosen(Fault(Kind.STALL_ANSWER, "GET", "/blobs/", times=100, at=0.5))) as proxy:
        yield f"{proxy.host}/{shell.name}/src:1"


@pytest.mark.parametrize("columns", COLUMNS)
def test_status_fits_the_screen(shell: Shell, pushed: str, columns: int) -> None:
    with screen(shell, columns, "status") as shown:
        assert shown.wait() == 0
        lines = shown.lines
    if columns >= 80:
        # One row each: nothing was wrapped.
        assert len(lines) == 3
        assert lines[1].split()[:3] == ["mine", "succeeded", "2/2"]
        assert lines[2].split()[:2] == ["0f2b7c1e-7d3a-4b52-9a57-0d4d6f0c9b11", "succeeded"]
        assert all(line.endswith("/src:1") for line in lines[1:])
    else:
        assert lines[:2] == ["mine", "  succeeded  2/2  0 s"] or re.match(r"  succeeded  2/2  \d+ s", lines[1])
        assert len(lines) == 6


@pytest.mark.parametrize("columns", COLUMNS)
def test_progress_is_a_line_for_each_platform(shell: Shell, silent: str, columns: int) -> None:
    with screen(shell, columns, "copy", silent, shell.destination(), "--push-id", "mine") as shown:
        for platform in ("linux/amd64", "linux/arm64"):
            shown.wait_for(platform)
        lines = shown.lines
    assert lines[0] == "Push mine"
    assert lines[1] == "copying: 0 of 2 copies, 0 of 1 tag"
    assert len(lines) == 5, lines
    assert lines[2].split()[1] == "all"
    assert sorted(line.split()[1] for line in lines[3:]) == ["linux/amd64", "linux/arm64"]
    if columns >= 80:
        assert " of 2.9 MiB" in lines[3]
    if columns >= 200:
        # The bar begins right behind the longest name, and takes the room that is left.
        assert re.search(r"linux/amd64 ━{40,}", "".join(lines).replace("╸", "━").replace("╺", "━"))


@pytest.mark.parametrize("columns", COLUMNS)
def test_a_report_fits_the_screen(shell: Shell, multi_arch: Index, columns: int) -> None:
    arguments = ["copy", "--quiet", shell.put_a(multi_arch), shell.destination()]
    with screen(shell, columns, *arguments, terminal=PLAIN["no colour"]) as shown:
        assert shown.wait() == 0
        text = "\n".join(shown.lines)
    assert re.search(r"copied", text)
    assert multi_arch.digest[7:19] in text


@pytest.mark.parametrize("terminal", PLAIN.values(), ids=PLAIN.keys())
def test_a_plain_terminal_has_plain_text(shell: Shell, pushed: str, terminal: Mapping[str, str]) -> None:
    with screen(shell, 80, "status", terminal=terminal) as shown:
        assert shown.wait() == 0
        assert shown.lines[1].startswith("mine ")
        coloured = shown.coloured
    if "NO_COLOR" in terminal or terminal["TERM"] == "dumb":
        assert not re.search(r"\x1b\[[0-9;]*[39][0-7]m", coloured)
    if terminal["LC_ALL"] == "C":
        assert coloured.isascii()


def test_a_dumb_terminal_has_lines_instead_of_bars(shell: Shell, silent: str) -> None:
    arguments = ["copy", silent, shell.destination(), "--push-id", "mine"]
    with screen(shell, 80, *arguments, terminal=PLAIN["dumb"]) as shown:
        shown.wait_for("Push mine: ")
        assert "━" not in "".join(shown.lines)


@pytest.mark.parametrize("terminal", ["no colour", "dumb"])
def test_a_narrow_dry_run_keeps_words_apart(shell: Shell, multi_arch: Index, terminal: str) -> None:
    arguments = ["copy", "--dry-run", shell.put_a(multi_arch), shell.destination()]
    with screen(shell, 50, *arguments, terminal=PLAIN[terminal]) as shown:
        assert shown.wait() == 0
        (row, *_) = [line for line in shown.lines if "repository" in line]
    assert row.split()[0] == "repository"
