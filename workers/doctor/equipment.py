"""Comparison of this program's registry settings with those of the workers, by the names of settings only. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from workers.doctor.finding import Finding, fault, fine, unknown
from workers.process.roster import Worker
from workers.settings.equipment import Equipment


def judge_equipment(registries: Sequence[str], own: Equipment, workers: Sequence[Worker]) -> Iterator[Finding]:
    """Compare the settings of each registry here with those of each worker."""
    for registry in registries:
        yield from _judge(registry, own.get(registry, []), workers)


def _judge(registry: str, here: Sequence[str], workers: Sequence[Worker]) -> Iterator[Finding]:
    check = "workers.registry"
    silent = [worker.name for worker in workers if worker.registries is None]
    telling = {worker.name: worker.registries.get(registry, []) for worker in workers if worker.registries is not None}
    if silent:
        found = f"what {_named(silent)} knows of it cannot be told: an older version"
        yield unknown(check, registry, found, "Bring all workers to this version.")
    lacking = _lacking(here, telling)
    for names, those in lacking.items():
        table = f'[registries."{registry}"]'
        found = f"{_named(those)} lacks what is set here: {', '.join(names)}"
        yield fault(check, registry, found, f"Give the settings of {table} to the workers: only theirs count.")
    if lacking or not telling:
        return
    if here:
        yield fine(check, registry, "every worker has the settings that are set here")
    elif all(telling.values()):
        yield fine(check, registry, "every worker has settings of its own for it")
    else:
        found = "it was examined from here: whether the workers reach it, and with which logins, is unknown"
        yield unknown(check, registry, found, "Run doctor where a worker runs, with its settings.")


def _lacking(here: Sequence[str], telling: Mapping[str, Sequence[str]]) -> dict[tuple[str, ...], list[str]]:
    """Return the workers, grouped by the names of the settings that they lack."""
    lacking: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for worker, there in telling.items():
        if missing := tuple(name for name in here if name not in there):
            lacking[missing].append(worker)
    return lacking


def _named(workers: Sequence[str]) -> str:
    return f"worker {workers[0]}" + (f" and {len(workers) - 1} more" if workers[1:] else "")
