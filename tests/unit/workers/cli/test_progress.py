"""Progress as people see it: lines now and then, or bars, and nothing when it is not wanted."""

import re
from io import StringIO
from typing import Literal

import pytest
from rich.console import Console

from tasks import contract
from workers.cli.progress import Lines, Silence, follow_push
from workers.cli.progress_bars import Bars

DIGESTS = [f"sha256:{number:064x}" for number in range(1, 9)]

State = Literal["enqueued", "accepted"]
LEFT: list[tuple[float, State]] = [(0.0, "enqueued"), (3.0, "enqueued"), (3.2, "enqueued"), (60.0, "enqueued")]
TAKEN: list[tuple[float, State]] = [(0.0, "enqueued"), (2.0, "enqueued"), (4.0, "accepted"), (60.0, "accepted")]


def snapshot(*copies: tuple[int, int, bool, bool], tags_done: int = 0, tags: int = 2) -> contract.Progress:
    """Return a snapshot of copies, each as done, total, ended, failed."""
    listed = [
        contract.CopyProgress(digest=digest, done=done, total=total, ended=ended, failed=failed)
        for digest, (done, total, ended, failed) in zip(DIGESTS, copies, strict=False)
    ]
    return contract.Progress(
        push_id="p", state="copying", created=0, updated=0, copies=listed, tags=tags, tags_done=tags_done
    )


def report(state: contract.State = "succeeded") -> contract.PushReport:
    return contract.PushReport(
        push_id="p", state=state, items=[], totals=contract.Totals(bytes_copied=3 << 20, seconds=1.25)
    )


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_now_and_then_and_say_what_ended(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines("p", clock)
    waiting = contract.Progress(push_id="p", state="accepted", created=0, updated=0)
    for second, shown in (
        (0.0, waiting),
        (0.2, snapshot((0, 0, False, False))),
        (10.1, snapshot((512, 2048, False, False), (0, 0, False, False))),
        (20.2, snapshot((512, 2048, False, False), (0, 0, False, False))),
        (30.3, snapshot((2048, 2048, True, False), (0, 10, True, True), tags_done=1)),
    ):
        clock.now = 100.0 + second
        lines(shown)
    lines.end(report("partial"))
    assert capsys.readouterr().err.splitlines() == [
        "Push p: looking at sources and destinations",
        "Push p: 0 of 2 copies, 512 B of 2.0 KiB, 0 of 2 tags",
        "Push p: 2 of 2 copies, 2.0 KiB of 2.0 KiB, 1 of 2 tags; done 000000000000; failed 000000000000",
        "Push p partial: 3.0 MiB copied in 1.2 s",
    ]


def test_a_line_names_few_of_many(capsys: pytest.CaptureFixture[str]) -> None:
    Lines("p", Clock())(snapshot(*[(1, 1, True, False)] * 5))
    assert capsys.readouterr().err.rstrip().endswith(" and 2 more")


def test_without_copies_only_tags_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    Lines("p", Clock())(snapshot(tags_done=1))
    assert capsys.readouterr().err == "Push p: 1 of 2 tags\n"


def show_lines(states: list[tuple[float, State]]) -> None:
    clock = Clock()
    lines = Lines("p", clock)
    for second, state in states:
        clock.now = 100.0 + second
        lines(contract.Progress(push_id="p", state=state, created=0, updated=0))


def test_lines_say_once_that_no_worker_takes_the_push(capsys: pytest.CaptureFixture[str]) -> None:
    show_lines(LEFT)
    assert capsys.readouterr().err.splitlines() == [
        "Push p: enqueued",
        "Push p: waits for a worker of imagepusher.push (imagepusher doctor tells more)",
    ]


def test_a_push_that_a_worker_took_waits_for_none(capsys: pytest.CaptureFixture[str]) -> None:
    show_lines(TAKEN)
    assert "waits" not in capsys.readouterr().err


def drawn(*snapshots: contract.Progress) -> list[str]:
    """Return what the bars look like after each snapshot."""
    pictures = []
    with Bars(Console(file=StringIO(), width=120)) as bars:
        for shown in snapshots:
            bars(shown)
            pictures.append(picture(bars))
    return pictures


def picture(bars: Bars, width: int = 120) -> str:
    """Return what the bars look like now."""
    paper = StringIO()
    Console(file=paper, width=width).print(bars._screen.get_renderable())
    return paper.getvalue()


def test_bars_show_the_whole_and_each_copy_that_moves() -> None:
    planning, moving, ending = drawn(
        contract.Progress(push_id="p", state="accepted", created=0, updated=0),
        snapshot((1 << 20, 4 << 20, False, False), (0, 1 << 20, False, False), (1, 1, True, False)),
        snapshot((4 << 20, 4 << 20, True, False), (1 << 20, 1 << 20, True, False), (1, 1, True, False), tags_done=1),
    )
    assert planning.splitlines() == ["planning"]
    head, whole, copy = moving.splitlines()
    assert head.rstrip() == "copying: 1 of 3 copies, 0 of 2 tags"
    assert re.search(r"all +━+ +1\.0 MiB of 5\.0 MiB", whole)
    assert re.search(r"  000000000000 +━+.* 1\.0 MiB of 4\.0 MiB", copy)
    head, whole = ending.splitlines()
    assert head.rstrip() == "copying: 3 of 3 copies, 1 of 2 tags"
    assert re.search(r"5\.0 MiB of 5\.0 MiB", whole)


def named(*names: tuple[str, str | None]) -> contract.Progress:
    copies = [
        contract.CopyProgress(digest=digest, done=300 << 20, total=1200 << 20, source=source, platform=platform)
        for digest, (source, platform) in zip(DIGESTS, names, strict=False)
    ]
    return contract.Progress(push_id="p", state="copying", created=0, updated=0, copies=copies, tags=12, tags_done=3)


@pytest.mark.parametrize("width", [50, 80, 200])
def test_a_copy_is_one_line_at_every_width_and_named_by_its_platform(width: int) -> None:
    clock = Clock()
    with Bars(Console(file=StringIO(), width=width)) as bars:
        bars._screen.get_time = clock
        for _ in range(3):
            clock.now += 1
            bars(named(("a.example/team/app:1.2", "linux/arm64/v8"), ("a.example/team/app:1.2", None)))
        lines = picture(bars, width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 4
    assert "linux/arm64/v8 " in lines[2]
    assert "app:1.2" not in lines[2]
    assert "000000000000 " in lines[3]


def test_of_several_images_each_line_has_the_image_too() -> None:
    shown = named(("a.example/team/app:1.2", "linux/amd64"), (f"a.example/tool@{DIGESTS[0]}", "linux/amd64"))
    _, _, app, tool = drawn(shown)[0].splitlines()
    assert "  app:1.2 linux/amd64 " in app
    assert "  tool linux/amd64 " in tool


def test_bars_say_once_that_no_worker_takes_the_push() -> None:
    paper, clock = StringIO(), Clock()
    with Bars(Console(file=paper, width=60), clock) as bars:
        for second in (0.0, 3.2, 60.0):
            clock.now = 100.0 + second
            bars(contract.Progress(push_id="p", state="enqueued", created=0, updated=0))
        assert "enqueued" in picture(bars)
    told = "It waits for a worker of imagepusher.push (imagepusher doctor tells more)"
    assert paper.getvalue().count(told) == 1


def test_bars_show_a_rate() -> None:
    clock = Clock()
    with Bars(Console(file=StringIO(), width=120)) as bars:
        bars._screen.get_time = clock
        for second in range(4):
            clock.now = 100.0 + second
            bars(snapshot((second << 20, 9 << 20, False, False)))
        assert re.search(r"3\.0 MiB of 9\.0 MiB +1\.0 MiB/s +00:06", picture(bars))


def test_no_more_than_eight_copies_have_bars() -> None:
    digests = [f"sha256:{number:064x}" for number in range(20)]
    copies = [contract.CopyProgress(digest=digest, done=1, total=10) for digest in digests]
    shown = contract.Progress(push_id="p", state="copying", created=0, updated=0, copies=copies, tags=1)
    (seen,) = drawn(shown)
    assert len(seen.splitlines()) == 2 + 8


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with follow_push("p", quiet=True, bars=True) as follower:
        assert isinstance(follower, Silence)
        follower(snapshot())
        follower.end(report())
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def waiting_for(message: str, until: float = 0.0) -> contract.Progress:
    reason = contract.Fault("rate_limited", message)
    waiting = contract.Waiting(reason=reason, since=0, until=until)
    return contract.Progress(push_id="p", state="waiting", waiting=waiting, created=0, updated=0, tags=1)


def test_what_is_waited_for_is_told_with_its_reason_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Rule 8.3."""
    lines = Lines("p", Clock())
    for message in ("a.example asks for 300 s.", "a.example asks for 300 s.", "b.example asks for 60 s."):
        lines(waiting_for(message))
    hints = [line for line in capsys.readouterr().err.splitlines() if "waits until" in line]
    assert [re.sub(r"\d\d:\d\d:\d\d", "HH:MM:SS", hint) for hint in hints] == [
        "Push p: waits until HH:MM:SS: [rate_limited] a.example asks for 300 s.",
        "Push p: waits until HH:MM:SS: [rate_limited] b.example asks for 60 s.",
    ]


def test_bars_say_what_is_waited_for() -> None:
    paper = StringIO()
    with Bars(Console(file=paper, width=60)) as bars:
        bars(waiting_for("[bold]a.example asks for 300 s."))
    assert "[rate_limited] [bold]a.example asks for 300 s." in paper.getvalue()
