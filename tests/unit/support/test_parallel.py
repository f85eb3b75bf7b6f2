from pathlib import Path

import pytest

from tests.support import parallel
from tests.support.figures import Figures
from tests.support.parallel import group_of, rank
from tests.support.processes import PORTS, free_port

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", [*parallel._GROUPS, *parallel._APART, *parallel._FIRST])
def test_what_the_groups_name_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_a_file_is_a_group_unless_it_shares_one() -> None:
    assert group_of("tests/unit/oci/test_merge.py::test_a[x::y]") == "tests/unit/oci/test_merge.py"
    assert group_of("tests/chaos/test_rabbitmq.py::test_a") == group_of("tests/docs/test_rabbitmq.py::test_b")
    assert group_of("tests/benchmarks/test_benchmark.py::test_a") == group_of(
        "tests/integration/registry/test_memory.py::test_b"
    )


def test_tests_that_share_nothing_are_divided_too() -> None:
    one, other = (f"tests/simulation/test_runs.py::test_a_planted_fault_is_found[{fault}]" for fault in ("x", "y"))
    assert group_of(one) != group_of(other)
    assert rank(one) == rank(other)


def test_what_takes_longest_begins_first() -> None:
    assert rank("tests/chaos/test_random.py::test_a") < rank("tests/unit/oci/test_merge.py::test_a")


def test_all_tests_of_a_group_have_its_rank() -> None:
    """Or one of them would begin the group early."""
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")]
    ranks: dict[str, set[int]] = {}
    for file in files:
        ranks.setdefault(group_of(file), set()).add(rank(file))
    assert {group: found for group, found in ranks.items() if len(found) > 1} == {}


def test_figures_of_other_processes_are_added() -> None:
    mine, theirs = Figures(), Figures()
    mine.of("harm").add(workers_killed=1)
    theirs.of("harm").add(workers_killed=2, redis_restarts=1)
    mine.merge(theirs.export())
    assert mine.lines() == ["harm: 1 redis restarts, 3 workers killed"]


def test_a_free_port_is_none_of_those_that_outgoing_connections_get() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert PORTS[-1] < first
    assert free_port() in PORTS
