"""Work that is handed to other threads is still about the same push."""

from tasks import telemetry
from workers.observability.threads import ContextThreads


def test_submitted_and_mapped_work_has_the_context_of_who_hands_it_out() -> None:
    def about(*_: object) -> dict[str, str]:
        return dict(telemetry.bound())

    with ContextThreads(1) as threads:
        with telemetry.context(push_id="one"):
            first, mapped = threads.submit(about), list(threads.map(about, range(2)))
        with telemetry.context(push_id="two"):
            second = threads.submit(about, 1)
        assert (first.result(), second.result()) == ({"push_id": "one"}, {"push_id": "two"})
        assert mapped == [{"push_id": "one"}] * 2
        # Nothing of it stays in the thread.
        assert threads.submit(about).result() == {}


def test_what_work_binds_ends_with_it_and_errors_come_back() -> None:
    def fail(*, late: bool) -> None:
        with telemetry.context(push_id="inner"):
            raise ValueError(late)

    with ContextThreads(1) as threads:
        assert str(threads.submit(fail, late=True).exception()) == "True"
        assert threads.submit(lambda: dict(telemetry.bound())).result() == {}
