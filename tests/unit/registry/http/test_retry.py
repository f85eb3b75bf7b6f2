"""The retry policy decides, without a network and without a clock (BEHAVIOUR 8.3)."""

from email.utils import formatdate

import pytest

from tasks.errors import AuthenticationRefused, RateLimited, RegistryUnavailable
from tasks.registry.http.retry import RetryPolicy, Transient, parse_retry_after

NOW = 1_700_000_000.0


class Failing:
    """Fail with each of these in turn, then return their number."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = failures
        self.tries = 0

    def __call__(self) -> int:
        self.tries += 1
        if self.tries <= len(self._failures):
            raise self._failures[self.tries - 1]
        return self.tries


def policy(slept: list[float], tries: int = 4, longest_wait: float = 5.0, chance: float = 1.0) -> RetryPolicy:
    return RetryPolicy(tries, longest_wait, chance=lambda: chance, sleep=slept.append)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        (formatdate(NOW + 90, localtime=False), 90),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 400, None),
        ("٣", None),
        ("Fri, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(value: str | None, seconds: float | None) -> None:
    """8.3."""
    assert parse_retry_after(value, NOW) == seconds


def test_the_pause_doubles_up_to_the_longest_wait() -> None:
    """8.3: back-off, bounded."""
    slept: list[float] = []
    with pytest.raises(RegistryUnavailable):
        policy(slept, tries=7, longest_wait=3.0).run(Failing(*[Transient("lost")] * 7))
    assert slept == [0.5, 1, 2, 3, 3, 3]


def test_the_pause_is_anything_between_nothing_and_its_ceiling() -> None:
    """8.3: full jitter."""
    assert policy([], chance=0.0).pause(3, None) == 0
    assert policy([], chance=0.25).pause(3, None) == 0.5


def test_what_the_registry_asks_for_is_waited_for_if_it_is_short() -> None:
    """8.3."""
    slept: list[float] = []
    assert policy(slept, chance=0.0).run(Failing(Transient("busy", 429, 4.0), Transient("busy", 429))) == 3
    assert slept == [4.0, 0.0]


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, RegistryUnavailable)])
def test_a_long_retry_after_is_handed_back_and_not_slept(
    status: int, kind: type[RateLimited | RegistryUnavailable]
) -> None:
    """8.3: the task goes back to the broker."""
    slept: list[float] = []
    failing = Failing(Transient("busy", status, 5.5))
    with pytest.raises(kind, match=r"busy and asks for 5\.5 seconds \(tries: 1\)") as caught:
        policy(slept).run(failing)
    assert isinstance(caught.value, RateLimited | RegistryUnavailable)
    assert (slept, failing.tries, caught.value.retry_after) == ([], 1, 5.5)


@pytest.mark.parametrize(
    ("status", "kind"), [(429, RateLimited), (401, AuthenticationRefused), (502, RegistryUnavailable)]
)
def test_the_last_failure_says_which_error_it_is(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"GET host/path \(tries: 2\)"):
        policy([], tries=2).run(Failing(*[Transient("GET host/path", status, 0.0)] * 2))


def test_an_exhausted_short_wait_is_not_handed_back() -> None:
    with pytest.raises(RateLimited) as caught:
        policy([], tries=2).run(Failing(*[Transient("busy", 429, 1.0)] * 2))
    assert caught.value.retry_after is None


def test_other_errors_pass_through_at_once() -> None:
    """8.3: bad content is not retried."""
    failing = Failing(ValueError("bad content"))
    with pytest.raises(ValueError, match="bad content"):
        policy([]).run(failing)
    assert failing.tries == 1


def test_tries_count_anew_after_progress() -> None:
    """5.3: a blob that comes in many parts is not given up."""
    slept: list[float] = []
    failing = Failing(*[Transient("lost")] * 7)
    assert policy(slept, tries=2).run(failing, lambda: failing.tries) == 8
    with pytest.raises(RegistryUnavailable):
        policy(slept, tries=2).run(Failing(*[Transient("lost")] * 7), lambda: 1)


def test_errors_of_the_policy_are_rebuilt_from_their_arguments() -> None:
    for error in (RateLimited("busy", 7.0), RegistryUnavailable("away"), RateLimited("busy")):
        again = type(error)(*error.args)
        assert (str(again), again.retry_after) == (str(error), error.retry_after)
