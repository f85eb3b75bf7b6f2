"""The history of a tag as a table: when it says that someone else moved the tag."""

from io import StringIO

import pytest
from rich.console import Console

from tasks import contract
from workers.cli.screen import Screen
from workers.cli.tags_table import render_history


def move(push_id: str, at: float, old: str, new: str, undone: float | None = None) -> contract.Move:
    return contract.Move(
        at=at,
        push_id=push_id,
        action="copied",
        source="registry.example.com/src:1",
        source_digest=f"sha256:{new * 64}",
        old_digest=f"sha256:{old * 64}",
        new_digest=f"sha256:{new * 64}",
        undone=undone,
    )


def foreign(*moves: contract.Move) -> list[str]:
    """Return the lines that tell of moves by others."""
    paper = StringIO()
    history = contract.History(reference="registry.example.com/app:1", moves=[*moves])
    render_history(Screen(Console(file=paper, width=200)), history)
    return [line.rpartition(" ")[2] for line in paper.getvalue().splitlines() if "someone else" in line]


@pytest.mark.parametrize(
    "moves",
    [
        pytest.param([move("2", 2, "b", "c"), move("1", 1, "a", "b")], id="one after the other"),
        pytest.param([move("2", 2, "b", "c", 3), move("1", 1, "a", "b", 4)], id="both undone afterwards"),
        pytest.param([move("2", 3, "a", "c"), move("1", 1, "a", "b", 2)], id="undone in between"),
        pytest.param(
            [move("3", 5, "a", "d"), move("2", 2, "b", "c", 3), move("1", 1, "a", "b", 4)],
            id="both undone, and a third",
        ),
    ],
)
def test_what_pushes_and_their_undoing_did_is_nobody_elses(moves: list[contract.Move]) -> None:
    """Rule 10.6."""
    assert foreign(*moves) == []


@pytest.mark.parametrize(
    "moves",
    [
        pytest.param([move("2", 2, "f", "c"), move("1", 1, "a", "b")], id="between two moves"),
        pytest.param([move("2", 2, "f", "c", 3), move("1", 1, "a", "b", 4)], id="both undone afterwards"),
        pytest.param([move("2", 3, "f", "c"), move("1", 1, "a", "b", 2)], id="after an undo"),
    ],
)
def test_a_digest_that_no_push_left_is_someone_elses(moves: list[contract.Move]) -> None:
    """Rule 10.6."""
    assert foreign(*moves) == ["ffffffffffff."]
