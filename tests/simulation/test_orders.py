"""The oracle of orders: a table of what pushes and foreign writes may leave behind."""

import pytest

from tests.simulation.orders import Held, Operation, explains

A1 = Operation("p1", 0, 5, {"amd64": "1"}, merges=True)
B1 = Operation("p2", 0, 5, {"arm64": "1"}, merges=True)
A2 = Operation("p3", 6, 7, {"amd64": "2"}, merges=True)
ALONE = Operation("p4", 0, 9, {"s390x": "4"}, merges=False)
FOREIGN = Operation("foreign", 3, 3, {"ppc64le": "f"}, merges=False)
FAILED = Operation("p5", 0, 9, {"s390x": "5"}, merges=True, may_be_absent=True)


@pytest.mark.parametrize(
    ("first", "operations", "last", "may_be"),
    [
        (None, [], None, True),
        (None, [A1, B1], {"amd64": "1", "arm64": "1"}, True),
        (None, [A1, B1], {"amd64": "1"}, False),
        ({"s390x": "0"}, [A1], {"s390x": "0", "amd64": "1"}, True),
        ({"s390x": "0"}, [A1], {"amd64": "1"}, False),
        (None, [A1, A2], {"amd64": "2"}, True),
        (None, [A1, A2], {"amd64": "1"}, False),
        ({"amd64": "0"}, [ALONE], {"s390x": "4"}, True),
        ({"amd64": "0"}, [ALONE], {"amd64": "0", "s390x": "4"}, False),
        (None, [A1, FOREIGN], {"amd64": "1", "ppc64le": "f"}, True),
        (None, [A1, FOREIGN], {"ppc64le": "f"}, True),
        (None, [A2, FOREIGN], {"ppc64le": "f"}, False),
        (None, [FAILED], None, True),
        (None, [FAILED], {"s390x": "5"}, True),
        ({"single": "0"}, [A1], {"amd64": "1"}, True),
    ],
)
def test_a_tag_holds_what_some_order_gives(first: Held, operations: list[Operation], last: Held, may_be: bool) -> None:
    """Rule 7.1."""
    assert explains(first, operations, last) is may_be
