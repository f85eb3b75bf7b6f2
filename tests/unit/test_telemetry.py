"""Log context: what a block binds is there inside of it, and in nobody else's code."""

import threading

import pytest

from tasks import telemetry


def test_fields_add_up_and_end_with_their_block() -> None:
    assert telemetry.bound() == {}
    with telemetry.context(push_id="one"):
        with telemetry.context(digest="sha256:ab", push_id="two"):
            assert telemetry.bound() == {"push_id": "two", "digest": "sha256:ab"}
        assert telemetry.bound() == {"push_id": "one"}
    assert telemetry.bound() == {}


def test_fields_end_with_a_block_that_raises() -> None:
    with pytest.raises(ValueError, match="x"), telemetry.context(push_id="one"):
        raise ValueError("x")
    assert telemetry.bound() == {}


def test_another_thread_has_fields_of_its_own() -> None:
    seen = []
    with telemetry.context(push_id="one"):
        thread = threading.Thread(target=lambda: seen.append(dict(telemetry.bound())))
        thread.start()
        thread.join()
    assert seen == [{}]
