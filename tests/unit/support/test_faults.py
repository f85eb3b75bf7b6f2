import pytest

from tests.support.faults import Chosen, Fault, Kind, Mixture, stable, suits

BLOB = "/v2/a/blobs/sha256:1"
REQUESTS = [
    ("GET", "/v2/"),
    ("GET", "/v2/a/manifests/1"),
    *[("GET", f"/v2/a/blobs/sha256:{number}") for number in range(40)],
    *[("PUT", f"/v2/b/blobs/uploads/x?digest=sha256:{number}") for number in range(40)],
]


def test_a_fault_names_a_method_and_a_part_of_the_target() -> None:
    fault = Fault(Kind.CUT, "GET", r"/blobs/sha256:[12]$")
    assert [fault.names("GET", BLOB), fault.names("PUT", BLOB), fault.names("GET", f"{BLOB}3")] == [True, False, False]


def test_a_fault_happens_from_the_nth_request_on_and_so_many_times() -> None:
    fault = Fault(Kind.CUT, nth=2, times=2)
    plan = Chosen(fault)
    assert [plan.choose("GET", BLOB, authorized=False) for _ in range(5)] == [None, fault, fault, None, None]


def test_faults_count_their_own_requests_and_the_first_one_due_happens() -> None:
    one, other = Fault(Kind.CUT, "GET", nth=2), Fault(Kind.LONGER, nth=2)
    plan = Chosen(one, other)
    chosen = [plan.choose(method, BLOB, authorized=False) for method in ("PUT", "GET", "GET")]
    assert chosen == [None, other, one]


def choices(seed: int, requests: list[tuple[str, str]]) -> dict[tuple[str, str], Fault | None]:
    plan = Mixture(seed, 0.3)
    return {request: plan.choose(*request, authorized=True) for request in requests}


def test_a_mixture_is_the_same_in_whatever_order_requests_come() -> None:
    assert choices(1, REQUESTS) == choices(1, list(reversed(REQUESTS)))
    assert choices(1, REQUESTS) != choices(2, REQUESTS)


def test_a_mixture_keeps_to_its_rate_and_to_faults_that_suit() -> None:
    met = {request: fault for request, fault in choices(3, REQUESTS).items() if fault is not None}
    assert len(REQUESTS) * 0.15 < len(met) < len(REQUESTS) * 0.45
    assert all(suits(fault.kind, *request, authorized=True) for request, fault in met.items())


def test_a_repeated_request_is_drawn_anew() -> None:
    plan = Mixture(4, 0.5)
    drawn = [plan.choose("GET", BLOB, authorized=False) for _ in range(20)]
    assert 0 < drawn.count(None) < 20


def test_random_names_of_the_registry_do_not_change_a_mixture() -> None:
    target = "/v2/a/blobs/uploads/{}?_state={}&digest=sha256:1"
    assert stable(target.format("u1", "s1")) == stable(target.format("u2", "s2"))
    assert stable(target.format("u1", "s1")) != stable(target.format("u1", "s1") + "2")


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_suits_some_request(kind: Kind) -> None:
    assert any(suits(kind, *request, authorized=True) for request in REQUESTS)


def test_a_fault_tells_its_detail() -> None:
    assert str(Fault(Kind.REFUSED, status=502)) == "REFUSED 502"
    assert str(Fault(Kind.LIMITED, retry_after="html")) == "LIMITED html"
    assert str(Fault(Kind.CUT, at=0.25)) == "CUT at 0.250"
