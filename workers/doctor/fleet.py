"""The checks of the workers' roster: queues, versions and clocks. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tasks.contract import QUEUES
from workers.doctor.finding import Finding, fault, fine, judge_clock, warning
from workers.process.roster import Worker


def judge_fleet(workers: Sequence[Worker], own_version: str, redis: str) -> Iterator[Finding]:
    """Judge the workers in the roster of the Redis `redis`; `own_version` is this program's version."""
    for queue in QUEUES:
        serving = sum(queue in worker.queues for worker in workers)
        if serving:
            yield fine("queues.served", queue, f"{_workers(serving)} it")
        else:
            name = queue.removeprefix("imagepusher.")
            yield fault("queues.served", queue, "no worker serves it", f"Start one: imagepusher worker --queues {name}")
    if workers:
        yield _judge_versions(workers, own_version)
    for worker in workers:
        yield judge_clock(f"worker {worker.name}", redis, worker.skew)


def _judge_versions(workers: Sequence[Worker], own_version: str) -> Finding:
    counted = Counter(worker.version for worker in workers)
    if set(counted) == {own_version}:
        return fine("workers.versions", "workers", f"all have the version of this program, {own_version}")
    listed = ", ".join(f"{version} ({count})" for version, count in sorted(counted.items()))
    found = f"workers have the versions {listed}, this program {own_version}"
    return warning(
        "workers.versions", "workers", found, "Bring all to one version; an upgrade that is under way ends so."
    )


def _workers(count: int) -> str:
    return "1 worker serves" if count == 1 else f"{count} workers serve"
