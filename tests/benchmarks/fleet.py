"""A workload done by worker processes over Redis, as many as one says."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import redis

from tasks.contract import PushReport
from tests.benchmarks.measuring import RunFailedError, Sample, cpu_of
from tests.benchmarks.peers import Errand, request_of
from tests.benchmarks.rounds import Row, Say, check, errand_of, source_of, watching
from tests.benchmarks.workloads import Copy, Workload
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.workers import Worker, running_worker
from workers.client.interface import Client
from workers.client.open import open_client
from workers.settings import load_settings

_WARM_UP = (Copy("warm/up:1", {"warm/copy": ("1",)}),)


def run_fleets(workload: Workload, sizes: Sequence[int], rounds: int, say: Say) -> list[Row]:
    """Measure `rounds` times each number of workers in turn; the client that waits is not part of the CPU time."""
    rows = {size: Row(workload.name, f"{size} worker{'s' * (size > 1)}") for size in sizes}
    with source_of(workload) as a:
        for number in range(1, rounds + 1):
            for size in sizes:
                sample = _run(workload, a, size, rows[size])
                rows[size].samples.append(sample)
                say(f"{workload.name} {size} workers, round {number}: {sample.wall:.2f} s")
    return list(rows.values())


def _run(workload: Workload, a: DistributionRegistry, size: int, row: Row) -> Sample:
    with RedisServer() as server, _fleet(server, size) as (workers, client), errand_of(workload, a) as (errand, b):
        # The first push of a worker imports what later ones have.
        for _ in range(size):
            _push(client, Errand(_with_copies(workload, _WARM_UP), errand.a, errand.b, errand.folder))
        cpu = [cpu_of(worker.process.pid) for worker in workers]
        server_cpu = cpu_of(server.process.pid)
        with watching(row, {"A": a, "B": b}):
            started = time.monotonic()
            _push(client, errand)
            wall = time.monotonic() - started
        used = [cpu_of(worker.process.pid) - before_it for worker, before_it in zip(workers, cpu, strict=True)]
        with redis.Redis(port=server.port) as connection:
            row.more["redis peak bytes"] = connection.info("memory")["used_memory_peak"]
        row.more["redis cpu"] = round(cpu_of(server.process.pid) - server_cpu, 2)
        row.more["cpu by worker"] = [round(each, 2) for each in used]
        check(workload, a, b, merges=True)
        return Sample(wall=wall, cpu=sum(used), peak_bytes=max(worker.resident_bytes() for worker in workers))


@contextmanager
def _fleet(server: RedisServer, size: int) -> Iterator[tuple[list[Worker], Client]]:
    settings = {"IMAGEPUSHER_BROKER_URL": server.url}
    with ExitStack() as running:
        workers = [running.enter_context(running_worker(settings)) for _ in range(size)]
        yield workers, running.enter_context(open_client(load_settings(settings)))


def _push(client: Client, errand: Errand) -> PushReport:
    push_id = str(uuid.uuid4())
    client.send(dict(request_of(errand)), push_id)
    report = client.wait(push_id)
    if report.state != "succeeded":
        codes = {tag.error.code for item in report.items for tag in item.tags if tag.error}
        raise RunFailedError(f"a push of {errand.workload.name} {report.state}: {codes}")
    return report


def _with_copies(workload: Workload, copies: tuple[Copy, ...]) -> Workload:
    return Workload(
        name="warm-up", title=workload.title, at_a=workload.at_a, copies=copies, content_bytes=workload.content_bytes
    )
