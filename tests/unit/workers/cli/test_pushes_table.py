"""The table of pushes at every width: a line each, and the image where there is room for it."""

from io import StringIO
from typing import Any, get_args

import pytest
from rich.console import Console

from tasks import contract
from tasks.transfer.ports import CalledOff
from workers.amounts import age, count
from workers.cli.commands.status import STATES
from workers.cli.pushes_table import draw_pushes
from workers.cli.screen import Screen
from workers.recorded_push import Remembered

UUID = "0f2b7c1e-7d3a-4b52-9a57-0d4d6f0c9b11"
HOUR = 3600.0


def push(push_id: str = UUID, state: contract.ProgressState = "succeeded", **more: Any) -> Remembered:
    progress = contract.Progress(push_id=push_id, state=state, created=1000.0, updated=1000.0, tags=3, tags_done=3)
    outline = {"source": "registry.example.com/builds/team/app:1.2.3", "images": 2}
    return Remembered(progress, **{"tags_done": 2, "outline": outline, **more})


def drawn(*pushes: Remembered, width: int) -> list[str]:
    paper = StringIO()
    draw_pushes(Screen(Console(file=paper, width=width)), pushes, 1000.0 + 2.5 * HOUR)
    return [line.rstrip() for line in paper.getvalue().splitlines()]


def test_a_wide_terminal_shows_the_whole_image() -> None:
    assert drawn(push("p"), width=200) == [
        "Push  State      Tags  Age  Image",
        "p     succeeded  2/3   2 h  registry.example.com/builds/team/app:1.2.3 +1",
    ]


def test_eighty_columns_hold_one_line_for_each_push_and_the_end_of_the_image() -> None:
    lines = drawn(push(), push(state="interrupted"), width=80)
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith(f"{UUID}  succeeded    2/3   2 h  …")
    assert lines[1].endswith("app:1.2.3 +1")


def test_who_sent_a_push_is_shown_where_it_is_known() -> None:
    assert drawn(push("p", producer="ci"), push("q"), width=80) == [
        "Push  State      Tags  Age  By  Image",
        "p     succeeded  2/3   2 h  ci  registry.example.com/builds/team/app:1.2.3 +1",
        "q     succeeded  2/3   2 h      registry.example.com/builds/team/app:1.2.3 +1",
    ]


def test_fifty_columns_show_the_image_below() -> None:
    assert drawn(push("release-2024-12-31"), width=50) == [
        "Push                State      Tags  Age",
        "release-2024-12-31  succeeded  2/3   2 h",
        "  registry.example.com/builds/team/app:1.2.3 +1",
    ]


def test_an_id_that_leaves_no_room_stands_alone() -> None:
    assert drawn(push(), width=50) == [UUID, "  succeeded  2/3  2 h", "  registry.example.com/builds/team/app:1.2.3 +1"]


def test_a_push_without_a_readable_request_has_no_image() -> None:
    assert drawn(push("p", outline={"source": None, "images": 0}), width=50)[1:] == ["p     succeeded  2/3   2 h"]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"undo": "succeeded"}, "undone"),
        ({"undo": "begun"}, "being undone"),
        ({"undo": "partial"}, "partly undone"),
        ({"undo": "failed"}, "undo failed"),
        ({"state": "failed", "cancelled": True}, "cancelled"),
        ({"state": "copying", "cancelled": True}, "being cancelled"),
        ({"state": "refused"}, "refused"),
    ],
)
def test_one_or_two_words_say_how_it_stands(more: dict[str, Any], word: str) -> None:
    assert push(**more).state == word


def test_control_characters_of_a_producer_are_shown_and_not_obeyed() -> None:
    outline = {"source": "a\x1b[31m:1", "images": 1}
    assert drawn(push("p\x1b", outline=outline), width=80)[1] == r"p\x1b  succeeded  2/3   2 h  a\x1b[31m:1"


def test_the_states_to_choose_from_are_those_of_the_contract() -> None:
    assert set(STATES) == {*get_args(contract.ProgressState), *get_args(CalledOff)}


@pytest.mark.parametrize(
    ("seconds", "told"), [(-3, "0 s"), (0.4, "0 s"), (59.9, "60 s"), (60, "1 min"), (7200, "2 h"), (90_000, "1 d")]
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, told: str) -> None:
    assert age(seconds) == told


def test_nouns_are_counted() -> None:
    assert [count(number, noun) for noun in ("push", "tag") for number in (1, 2)] == [
        "1 push",
        "2 pushes",
        "1 tag",
        "2 tags",
    ]
