"""Workers are judged by what they say of themselves."""

from tasks.contract import QUEUES
from workers.doctor.finding import Finding
from workers.doctor.fleet import judge_fleet
from workers.process.roster import Worker


def worker(name: str, *queues: str, version: str = "1.0", skew: float = 0.0) -> Worker:
    return Worker(
        name=name, version=version, queues=list(queues), pid=1, started=0.0, seen=1_000_000.0, time=1_000_000.0 + skew
    )


def judged(*workers: Worker) -> list[Finding]:
    return list(judge_fleet(workers, "1.0", "Redis here"))


def test_without_workers_every_queue_lacks_one_and_nothing_else_is_said() -> None:
    found = judged()
    assert [(each.check, each.level, each.where) for each in found] == [
        ("queues.served", "error", queue) for queue in QUEUES
    ]
    assert found[1].advice == "Start one: imagepusher worker --queues copy"


def test_queues_may_be_served_by_different_workers() -> None:
    found = judged(worker("a", QUEUES[0], QUEUES[1]), worker("b", QUEUES[1]), worker("c", QUEUES[2]))
    assert {each.level for each in found} == {"ok"}
    assert [each.found for each in found[:3]] == [
        "1 worker serves it",
        "2 workers serve it",
        "1 worker serves it",
    ]


def test_versions_that_differ_among_workers_or_from_this_program_are_a_warning() -> None:
    def versions(*workers: Worker) -> Finding:
        return next(each for each in judged(*workers) if each.check == "workers.versions")

    assert versions(worker("a"), worker("b")).level == "ok"
    mixed = versions(worker("a"), worker("b", version="0.9"), worker("c", version="0.9"))
    assert (mixed.level, mixed.found) == ("warning", "workers have the versions 0.9 (2), 1.0 (1), this program 1.0")
    assert versions(worker("a", version="0.9")).level == "warning"


def test_each_clock_is_compared_with_that_of_redis() -> None:
    found = judged(worker("a", *QUEUES, skew=-20), worker("b", *QUEUES, skew=300))
    clocks = [(each.where, each.level, each.found) for each in found if each.check == "clock"]
    assert clocks == [
        ("worker a", "warning", "the clock is 20 s behind that of Redis here"),
        ("worker b", "error", "the clock is 300 s ahead of that of Redis here"),
    ]
