"""The runtime of a process: three steps that share their parts, and end together."""

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from tasks.celery_glue.runtime import Runtime
from workers.process.assembly import most_at_once
from workers.process.embedded import embedded_runtime
from workers.settings import load_settings


@pytest.fixture
def cancelled() -> threading.Event:
    return threading.Event()


@pytest.fixture
def closing() -> ExitStack:
    return ExitStack()


@pytest.fixture
def here(tmp_path: Path, cancelled: threading.Event, closing: ExitStack) -> Runtime:
    settings = load_settings({"IMAGEPUSHER_STATE_DIR": str(tmp_path), "IMAGEPUSHER_JOBS": "3"})
    return closing.enter_context(embedded_runtime(settings, settings.registries, cancelled))


def test_the_steps_share_their_parts(here: Runtime, cancelled: threading.Event, closing: ExitStack) -> None:
    """Rules 7.1, 7.3: one ledger, one lock of each part, one set of clients, one sign that the process ends."""
    with closing:
        parts = here.publish.parts
        assert {id(each) for each in (here.push.ledger, here.copy.ledger, parts.ledger)} == {id(here.ledger)}
        assert here.push.runs is here.copy.runs is here.publish.runs is here.runs
        assert here.push.registries is parts.registries is here.registries
        assert here.push.attempts is here.copy.attempts is parts.attempts
        assert parts.copier is here.copy.copier
        assert parts.locks is here.locks
        assert parts.cancelled is cancelled


def test_requests_never_wait_for_the_work_that_needs_them(here: Runtime, closing: ExitStack) -> None:
    """Rule 8.4: the threads of tags wait for those of requests, so that they must not be the same."""
    with closing:
        parts = here.publish.parts
        assert parts.executor is here.executor is here.push.executor
        assert parts.requests is not parts.executor


def test_what_was_opened_is_closed_at_the_end(here: Runtime, closing: ExitStack) -> None:
    """A program may embed pushes repeatedly."""
    with closing:
        here.ledger.request("p")
    for executor in (here.executor, here.publish.parts.requests):
        with pytest.raises(RuntimeError, match="no more work"):
            executor.submit(threading.Event)


@pytest.mark.parametrize(("jobs", "most"), [(1, 1), (2, 8), (8, 32)])
def test_one_job_stays_alone(jobs: int, most: int) -> None:
    assert most_at_once(jobs) == most
