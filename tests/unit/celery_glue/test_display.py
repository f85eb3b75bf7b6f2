"""What monitors show of a task, in words that carry no secret."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from tasks import contract
from tasks.celery_glue import display as monitors
from tasks.errors import ImagePusherError, NotFound
from tasks.transfer.ports import CopyOutcome
from workers.broker.app import make_app
from workers.settings import load_settings

DIGEST = f"sha256:ab12cd{'0' * 58}"


def item(source: str, destinations: dict[str, list[str]]) -> dict[str, Any]:
    return {"source": source, "destinations": destinations}


@pytest.mark.parametrize(
    ("request_", "shown"),
    [
        ({"items": [item("a.example/x/app:1", {"b.example/y": ["1"]})]}, "(a.example/x/app:1 → 1 tag)"),
        (
            {"items": [item("a.example/app:1", {"b.example/y": ["1", "2"], "b.example/z": ["1"]})]},
            "(a.example/app:1 → 3 tags in 2 repositories)",
        ),
        (
            {"items": [item("a.example/app:1", {"b/y": ["1"]}), item("a.example/other:1", {"b/y": ["2"]})]},
            "(a.example/app:1 and 1 more → 2 tags)",
        ),
        ({"items": [item(f"a.example/app@{DIGEST}", {"b/y": ["1"]})]}, "(a.example/app@sha256:ab12cd… → 1 tag)"),
        (
            {"push_items": [{"metadata": {"pull_url": "a.example/app:1", "tags": {"ns/repo": ["1"]}}}]},
            "(a.example/app:1 → 1 tag)",
        ),
        # As careless as a producer can be: nothing of it is repeated.
        ({"items": [item("robot:secret@a.example/app:1", {"b/y": ["1"]})]}, "(an invalid reference → 1 tag)"),
        ({"items": [item("https://robot:secret@a.example", {"b/y": []})]}, "(an invalid reference → 0 tags)"),
        ({"items": [{"source": "secret"}, "secret", None], "target_settings": "secret"}, "(an invalid request)"),
        ({"items": "secret"}, "(an invalid request)"),
        ({"push_items": [{"metadata": "secret"}]}, "(an invalid request)"),
        ("secret", "(an invalid request)"),
        (None, "(an invalid request)"),
        (["secret"], "(an invalid request)"),
    ],
)
def test_a_push_is_described_by_its_first_source_and_its_tags(request_: object, shown: str) -> None:
    """Rule 6.7."""
    assert monitors.describe_push(request_) == shown


def test_a_description_is_short_whatever_the_names() -> None:
    long = f"a.example/{'x' * 250}:1"
    assert len(monitors.describe_push({"items": [item(long, {"b/y": ["1"]})]})) < 230


def test_the_meter_shows_the_progress_of_a_long_copy_once_in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("tasks.celery_glue.display.time.monotonic", lambda: now)
    shown: list[str] = []
    meter = monitors.CopyMeter(shown.append)
    for seconds in (0.6, 0.6, 0.6, 0.6, 0.6):
        now += seconds
        meter(contract.CopyProgress(digest=DIGEST, done=int(now * 1_048_576), total=209_715_200))
    assert shown == ["101.2 of 200.0 MiB", "102.4 of 200.0 MiB"]
    assert meter.text is None


@pytest.mark.parametrize(
    ("totals", "errors", "text"),
    [
        (contract.Totals(bytes_copied=3 << 20, blobs_copied=2), {}, "3.0 MiB copied"),
        (contract.Totals(bytes_copied=3 << 20, blobs_copied=2, blobs_mounted=1), {}, "3.0 MiB copied; 1 blob mounted"),
        (contract.Totals(blobs_mounted=4), {}, "4 blobs mounted"),
        (contract.Totals(blobs_skipped=4), {}, "there already"),
        (contract.Totals(), {"b/x": NotFound("It is gone.")}, "failed for b/x: not_found"),
    ],
)
def test_the_last_word_of_the_meter_is_how_the_copy_ended(
    totals: contract.Totals, errors: dict[str, ImagePusherError], text: str
) -> None:
    shown: list[str] = []
    meter = monitors.CopyMeter(shown.append)
    meter(contract.CopyProgress(digest=DIGEST, done=1, total=200_000_000, ended=True))
    meter.end(CopyOutcome(digest=DIGEST, totals=totals, errors=errors))
    assert (shown, meter.text) == ([], text)


def test_a_broker_that_is_away_disturbs_no_task() -> None:
    app = make_app(load_settings({"IMAGEPUSHER_BROKER_URL": "redis://127.0.0.1:1/0"}))
    asked: list[str] = []

    def refuse(**options: str) -> None:
        asked.append(options["hostname"])
        raise ConnectionError("nobody is there")

    task: Any = SimpleNamespace(app=app, request=SimpleNamespace(id="1", hostname="worker"))
    with patch.object(app.events, "default_dispatcher", refuse):
        monitors.TaskView(task).progress("half")
    assert asked == ["worker"]
