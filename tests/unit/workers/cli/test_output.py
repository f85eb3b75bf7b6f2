"""Amounts, and words that came from elsewhere, as they are shown."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.amounts import count, short, size
from workers.cli.output import expect_output, wants_json
from workers.printable import printable


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536.0, "1.5 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 30, "3.0 GiB"),
        (2 << 40, "2.0 TiB"),
        (5000 << 40, "5000.0 TiB"),
    ],
)
def test_sizes_have_the_unit_that_suits_them(amount: float, shown: str) -> None:
    assert size(amount) == shown


def test_digests_and_counts_are_short() -> None:
    assert short("sha256:0123456789abcdef") == "0123456789ab"
    assert short(None) == ""
    assert [count(number, "tag") for number in (0, 1, 2)] == ["0 tags", "1 tag", "2 tags"]


@given(st.text())
def test_what_is_printable_commands_no_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (["--output", "json"], True),
        (["--output=json"], True),
        (["-o", "json"], True),
        (["-ojson"], True),
        (["copy", "--none", "-o", "json", "a"], True),
        (["--output", "table"], False),
        (["-o"], False),
        (["json"], False),
        ([], False),
    ],
)
def test_a_faulty_command_line_still_says_which_output_it_wants(arguments: list[str], chosen: bool) -> None:
    context = click.Context(click.Command("any"))
    expect_output(context, arguments)
    assert wants_json(context) is chosen
