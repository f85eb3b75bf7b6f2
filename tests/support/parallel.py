"""How tests are divided among the processes of a parallel run, and what those processes tell the one that reports."""

from typing import Final

from xdist.scheduler import LoadScopeScheduling

# Tests of one group run one after the other, so that they do not meet. Elsewhere a file is a group.
_GROUPS: Final = {
    "tests/benchmarks": "memory and processors",
    "tests/integration/registry/test_memory.py": "memory and processors",
    "tests/deploy/test_flower.py": "memory and processors",
    "tests/chaos/test_rabbitmq.py": "RabbitMQ",
    "tests/docs/test_rabbitmq.py": "RabbitMQ",
    "tests/integration/test_doctor_rabbitmq.py": "RabbitMQ",
    "tests/deploy/test_scripts.py": "the project's folder and packages",
    "tests/deploy/test_demo.py": "the project's folder and packages",
    "tests/deploy/test_wheel.py": "the project's folder and packages",
    "tests/docs/test_tour.py": "the project's folder and packages",
}
# Tests of these files share nothing, and many of them keep a processor busy: each is a group of its own.
_APART: Final = ("tests/simulation/test_runs.py",)
# The groups that take longest begin first, or the last process would be alone with one of them.
_FIRST: Final = (
    "tests/simulation",
    "tests/chaos",
    "tests/deploy",
    "tests/docs",
    "tests/benchmarks",
    "tests/integration",
    "tests/acceptance",
)


def group_of(nodeid: str) -> str:
    """Return the group of a test: that of its file, else that of its folder, else its file, or the test alone."""
    file = nodeid.partition("::")[0]
    if file in _APART:
        return nodeid
    return _GROUPS.get(file) or _GROUPS.get("/".join(file.split("/")[:2])) or file


def rank(nodeid: str) -> int:
    """Return a number that is lower for the tests of groups that take longer."""
    group = group_of(nodeid)
    if group in _GROUPS.values():
        return 0
    return next((place for place, start in enumerate(_FIRST) if group.startswith(start)), len(_FIRST))


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Give each process a whole group at a time."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
