"""The report of a push as Markdown."""

from pathlib import Path
from textwrap import dedent

import click
import pytest

from tasks import contract
from tests.unit.workers.cli.test_render import REPORT
from workers.cli.summary import append_summary


def test_a_summary_says_what_moved_and_what_failed(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("# Job\n\n")
    append_summary(str(path), REPORT)
    assert path.read_text() == dedent("""\
        # Job

        ## Push p partial

        5 tags of 2 images, 3.0 MiB copied in 1.2 s.

        | Image | Action | Old | New | Kept platforms |
        |---|---|---|---|---|
        | **a.example/app:1** | multi-arch | | `bbbbbbbbbbbb` | |
        | b.example/app:1 | merged | `aaaaaaaaaaaa` | `bbbbbbbbbbbb` | linux/arm/v6, linux/s390x |
        | b.example/app:2 | copied | none | `bbbbbbbbbbbb` |  |
        | b.example/app:3 | unchanged | `bbbbbbbbbbbb` | `bbbbbbbbbbbb` |  |
        | **h.example/gone:1** |  | |  | |
        | b.example/gone:1 | failed | none | none |  |
        | b.example/gone:2 | failed | none | none |  |

        ### Failures

        - `source_missing`: h.example/gone:1 does not exist. (b.example/gone:1, b.example/gone:2)

        """)


def test_two_pushes_are_one_below_the_other(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    for _ in range(2):
        append_summary(str(path), REPORT)
    assert path.read_text().count("## Push p partial") == 2


def test_a_message_cannot_break_the_page(tmp_path: Path) -> None:
    fault = contract.Fault("request_refused", "a | b\n# c <img> `d` [e](f) *g*\x1b[31m")
    tag = contract.TagReport(reference="b.example/a_b:1", action="failed", error=fault)
    report = contract.PushReport(
        push_id="p",
        state="failed",
        items=[contract.ItemReport(source="a.example/x|y", tags=[tag])],
        totals=contract.Totals(),
    )
    append_summary(str(path := tmp_path / "summary.md"), report)
    last = path.read_text().rstrip().splitlines()[-1]
    assert last == (r"- `request_refused`: a \| b \# c \<img\> \`d\` \[e\](f) \*g\*\\x1b\[31m (b.example/a\_b:1)")


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="cannot be written to"):
        append_summary(str(tmp_path / "none" / "summary.md"), REPORT)
