"""When the progress of a copy is reported."""

import threading

import pytest

from tasks import contract
from tasks.transfer.copy.meter import Meter

BIG = 3_000_000


@pytest.mark.parametrize(("size", "reports"), [(BIG, 1), (1000, 0)])
def test_a_big_copy_is_seen_from_its_first_bytes_and_a_small_one_at_its_end(size: int, reports: int) -> None:
    """A source that stalls then is seen too."""
    told: list[contract.CopyProgress] = []
    meter = Meter("sha256:x", told.append, threading.Event(), 60.0)
    meter.expect(size)
    progress = meter.track()
    progress(size // 2)
    progress(size // 2 + 1)
    assert [(each.done, each.total) for each in told] == [(size // 2, size)] * reports
    assert meter.ended(failed=False).done == size // 2 + 1
