"""Exit codes: what a script learns of a result without reading it."""

import pytest

from tasks import contract
from tasks.errors import (
    AuthenticationRefused,
    ImagePusherError,
    PushFailed,
    PushUnfinished,
    PushUnknown,
    RequestInvalid,
    RightMissing,
    SettingsInvalid,
    StateUnavailable,
)
from workers.cli import exit_codes as codes


def report(state: contract.State, *faults: str | None, of_item: str | None = None) -> contract.PushReport:
    tags = [
        contract.TagReport(
            reference=f"h.example/x:{number}",
            action="failed" if fault else "copied",
            error=contract.Fault(fault, "") if fault else None,
        )
        for number, fault in enumerate(faults)
    ]
    item = contract.ItemReport(source="s", error=contract.Fault(of_item, "") if of_item else None, tags=tags)
    return contract.PushReport(push_id="p", state=state, items=[item], totals=contract.Totals())


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (report("succeeded", None), 0),
        (report("partial", None, "authentication_refused"), 1),
        (report("failed", "source_missing"), 3),
        (report("failed", "authentication_refused", "authentication_refused"), 4),
        (report("failed", "authentication_refused", of_item="authentication_refused"), 4),
        (report("failed", "authentication_refused", "registry_unavailable"), 3),
        (report("failed", "authentication_refused", "right_missing"), 4),
        (report("failed", "push_unknown"), 3),
        (report("failed", "settings_invalid"), 2),
        (report("failed", "settings_invalid", "authentication_refused"), 3),
    ],
)
def test_a_push_ends_with_the_code_of_its_state_and_faults(ended: contract.PushReport, code: int) -> None:
    assert codes.code_of_report(ended) == code


@pytest.mark.parametrize(
    ("planned", "of_copy", "code"),
    [
        (report("succeeded", None), None, 0),
        (report("succeeded", None), "source_child_missing", 1),
        (report("succeeded", None, "source_missing"), None, 1),
        (report("succeeded", "source_missing"), None, 3),
        (report("succeeded", "authentication_refused"), None, 4),
        (report("succeeded", "authentication_refused"), "registry_unavailable", 3),
    ],
)
def test_a_dry_run_ends_as_the_push_would(planned: contract.PushReport, of_copy: str | None, code: int) -> None:
    error = contract.Fault(of_copy, "") if of_copy else None
    repository = contract.RepositoryPreview(repository="h.example/x", error=error)
    copy = contract.CopyPreview(digest="sha256:0", source="s", repositories=[repository])
    assert codes.code_of_preview(contract.Preview(items=planned.items, copies=[copy])) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestInvalid("x"), 2),
        (SettingsInvalid("x"), 2),
        (PushUnknown("x"), 2),
        (PushUnfinished("x"), 2),
        (AuthenticationRefused("x"), 4),
        (RightMissing("x"), 4),
        (PushFailed("x", {"state": "partial"}), 1),
        (PushFailed("x", {"state": "failed"}), 3),
        (StateUnavailable("x"), 3),
        (ImagePusherError("x"), 3),
    ],
)
def test_an_error_has_the_code_of_its_class(error: ImagePusherError, code: int) -> None:
    assert codes.code_of_error(error) == code


def test_a_push_that_was_lost_on_the_way_may_have_written_something() -> None:
    assert codes.code_of_error(PushUnknown("x"), pushing=True) == 3


def test_comparisons_and_undos_have_codes_too() -> None:
    verified = contract.Verification(push_id="p", state="verified", tags=[])
    broken = contract.Verification(push_id="p", state="broken", tags=[])
    assert (codes.code_of_verification(verified), codes.code_of_verification(broken)) == (0, 1)
    states: tuple[contract.State, ...] = ("succeeded", "partial", "failed")
    undone = [codes.code_of_undo(contract.Undo(push_id="p", state=state, tags=[])) for state in states]
    assert undone == [0, 1, 3]
