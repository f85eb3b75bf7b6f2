"""Results as people read them: the same words for every reader, wrapped by nobody but a terminal."""

from collections.abc import Callable
from io import StringIO
from textwrap import dedent
from typing import TypeVar

import pytest
from rich.console import Console

from tasks import contract
from workers.cli.canvas import Canvas
from workers.cli.preview_table import render_preview
from workers.cli.report_table import render_report
from workers.cli.screen import Screen
from workers.cli.show import drawn as shown
from workers.cli.show import show
from workers.cli.undo_table import render_undo
from workers.cli.verification_table import render_verification

Result = TypeVar("Result")
OLD, NEW, OTHER = (f"sha256:{digit * 64}" for digit in "abc")
GONE = contract.Fault("source_missing", "h.example/gone:1 does not exist.")
REPORT = contract.PushReport(
    push_id="p",
    state="partial",
    items=[
        contract.ItemReport(
            source="a.example/app:1",
            kind="multi-arch",
            digest=NEW,
            tags=[
                contract.TagReport(
                    reference="b.example/app:1",
                    action="merged",
                    old_digest=OLD,
                    new_digest=NEW,
                    kept_platforms=["linux/arm/v6", "linux/s390x"],
                ),
                contract.TagReport(reference="b.example/app:2", action="copied", new_digest=NEW),
                contract.TagReport(reference="b.example/app:3", action="unchanged", old_digest=NEW, new_digest=NEW),
            ],
        ),
        contract.ItemReport(
            source="h.example/gone:1",
            error=GONE,
            tags=[
                contract.TagReport(reference="b.example/gone:1", action="failed", error=GONE),
                contract.TagReport(reference="b.example/gone:2", action="failed", error=GONE),
            ],
        ),
    ],
    totals=contract.Totals(bytes_copied=3 << 20, blobs_copied=4, blobs_mounted=2, manifests_copied=1, seconds=1.25),
)


def drawn(draw: Callable[[Canvas, Result], None], result: Result, width: int = 200) -> str:
    """Return what is drawn on paper of that width, without blanks at the ends of lines."""
    paper = StringIO()
    draw(Screen(Console(file=paper, width=width)), result)
    return "".join(f"{line.rstrip()}\n" for line in paper.getvalue().splitlines())


def test_a_pipe_gets_the_words_of_a_wide_terminal() -> None:
    """Nothing for terminals is loaded for it."""
    assert f"{shown(REPORT, render_report, None)}\n" == drawn(render_report, REPORT)


def test_a_report_has_a_row_for_each_image_and_each_fault_once() -> None:
    assert drawn(render_report, REPORT) == dedent("""\
        Image               Action      Digest                       Kept                       Error
        a.example/app:1     multi-arch  bbbbbbbbbbbb
          b.example/app:1   merged      aaaaaaaaaaaa → bbbbbbbbbbbb  linux/arm/v6, linux/s390x
          b.example/app:2   copied      new          → bbbbbbbbbbbb
          b.example/app:3   unchanged   bbbbbbbbbbbb
        h.example/gone:1                                                                        source_missing
          b.example/gone:1  failed                                                              source_missing
          b.example/gone:2  failed                                                              source_missing

        Error [source_missing] h.example/gone:1 does not exist.
          b.example/gone:1
          b.example/gone:2

        Push p partial in 1.2 s: 3.0 MiB copied; blobs: 4 copied, 2 mounted, 0 skipped; 1 manifest
        """)


def test_a_report_that_is_wider_than_the_terminal_is_stacked() -> None:
    lines = drawn(render_report, REPORT, width=60).splitlines()
    assert lines[:8] == [
        "a.example/app:1",
        "    action   multi-arch",
        "    digest   bbbbbbbbbbbb",
        "  b.example/app:1",
        "    action   merged",
        "    digest   aaaaaaaaaaaa → bbbbbbbbbbbb",
        "    kept     linux/arm/v6, linux/s390x",
        "  b.example/app:2",
    ]


def test_a_preview_says_what_would_move_and_what_would_fail() -> None:
    fault = contract.Fault("authentication_refused", "GET b.example answered 401.")
    preview = contract.Preview(
        items=REPORT.items,
        copies=[
            contract.CopyPreview(
                digest=NEW,
                source="a.example/app",
                platform="linux/amd64",
                repositories=[
                    contract.RepositoryPreview(repository="b.example/app", blobs_copied=2, bytes_copied=2048),
                    contract.RepositoryPreview(repository="b.example/other", blobs_mounted=1, blobs_skipped=1),
                    contract.RepositoryPreview(repository="b.example/there", present=True, blobs_skipped=2),
                    contract.RepositoryPreview(repository="c.example/app", error=fault),
                ],
            )
        ],
    )
    shown = drawn(render_preview, preview)
    assert shown.startswith("Image               Plan ")
    assert shown.endswith(
        dedent("""\
        Copy          Platform     Repository       Blobs                                             Error
        bbbbbbbbbbbb  linux/amd64  b.example/app    2 to copy (2.0 KiB), 0 to mount, 0 there already
        bbbbbbbbbbbb  linux/amd64  b.example/other  0 to copy (0 B), 1 to mount, 1 there already
        bbbbbbbbbbbb  linux/amd64  b.example/there  there already
        bbbbbbbbbbbb  linux/amd64  c.example/app                                                      authentication_refused

        Error [authentication_refused] GET b.example answered 401.
          sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb into c.example/app

        Dry run, nothing was written. A push would move 2.0 KiB; blobs: 2 to copy (2.0 KiB), 1 to mount, 3 there already; 2 of 5 tags would fail
        """)  # noqa: E501 - as it is shown
    )


def test_a_verification_names_what_differs_and_what_is_missing() -> None:
    verification = contract.Verification(
        push_id="p",
        state="broken",
        tags=[
            contract.TagVerification(reference="b.example/a:1", expected_digest=NEW, found_digest=NEW),
            contract.TagVerification(reference="b.example/a:2", expected_digest=NEW, found_digest=OLD),
            contract.TagVerification(reference="b.example/a:3", expected_digest=NEW),
            contract.TagVerification(
                reference="b.example/a:4", expected_digest=NEW, found_digest=NEW, missing=["x", "y"]
            ),
            contract.TagVerification(reference="b.example/a:5", expected_digest=NEW, error=GONE),
        ],
    )
    assert drawn(render_verification, verification) == dedent("""\
        Image          Result    Expected      Found         Missing  Error
        b.example/a:1  verified  bbbbbbbbbbbb  same
        b.example/a:2  broken    bbbbbbbbbbbb  aaaaaaaaaaaa
        b.example/a:3  broken    bbbbbbbbbbbb  absent
        b.example/a:4  broken    bbbbbbbbbbbb  same          x, y
        b.example/a:5  failed    bbbbbbbbbbbb                         source_missing

        Error [source_missing] h.example/gone:1 does not exist.
          b.example/a:5

        Push p broken: 5 tags
        """)


def test_an_undo_says_what_became_of_each_tag() -> None:
    moved = contract.Fault("tag_conflict", "b.example/a:3 is left alone.")
    undo = contract.Undo(
        push_id="p",
        state="partial",
        tags=[
            contract.TagUndo(reference="b.example/a:1", action="restored", digest=OLD),
            contract.TagUndo(reference="b.example/a:2", action="deleted"),
            contract.TagUndo(reference="b.example/a:3", action="moved", digest=OTHER, error=moved),
        ],
    )
    assert drawn(render_undo, undo) == dedent("""\
        Image          Action    Digest        Error
        b.example/a:1  restored  aaaaaaaaaaaa
        b.example/a:2  deleted
        b.example/a:3  moved     cccccccccccc  tag_conflict

        Error [tag_conflict] b.example/a:3 is left alone.
          b.example/a:3

        Undo of push p partial: 3 tags
        """)


def test_a_warning_of_a_registry_is_shown_once() -> None:
    """Rule 6.8."""
    warned = "h.example warns: this registry moves next week"
    tags = [contract.TagReport(reference=f"b.example/a:{each}", action="copied", new_digest=NEW) for each in "12"]
    report = contract.PushReport(
        push_id="p",
        state="succeeded",
        items=[contract.ItemReport(source="h.example/a:1", kind="multi-arch", digest=NEW, tags=tags)],
        totals=contract.Totals(),
        warnings=[warned],
    )
    assert drawn(render_report, report).count(f"Warning {warned}") == 1


def test_words_from_elsewhere_are_shown_and_not_obeyed() -> None:
    fault = contract.Fault("x\x1b[31m", "red\x07 [bold]no markup[/bold]\nPush p succeeded\u2028")
    tag = contract.TagReport(reference="h.example/\x1b]0;x\x07:1", action="failed", error=fault)
    report = contract.PushReport(
        push_id="\x1b[2J",
        state="failed",
        items=[contract.ItemReport(source="s\x9b1m", tags=[tag])],
        totals=contract.Totals(),
    )
    shown = drawn(render_report, report)
    assert not set("\x1b\x07\x9b") & set(shown)
    assert r"[bold]no markup[/bold]\nPush p succeeded\u2028" in shown
    assert r"s\x9b1m" in shown


def test_a_pipe_gets_lines_of_any_length(capsys: pytest.CaptureFixture[str]) -> None:
    long = contract.PushReport(
        push_id="p",
        state="succeeded",
        items=[contract.ItemReport(source=f"h.example/{'x' * 500}:1", kind="source", digest=NEW)],
        totals=contract.Totals(),
    )
    show(long, render_report)
    assert f"h.example/{'x' * 500}:1  source  bbbbbbbbbbbb\n" in capsys.readouterr().out
