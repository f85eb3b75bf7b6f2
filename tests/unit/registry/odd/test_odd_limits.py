"""A limit in any form stops other requests to its registry for a bounded time, and no others (BEHAVIOUR 8.3)."""

from dataclasses import dataclass

import pytest

from tasks.coordination.local.in_process import LocalBudgets
from tasks.errors import ImagePusherError, RateLimited
from tasks.registry.repository import Registries, Repository
from tasks.registry.settings import RegistryConfiguration
from tests.support import images
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.registry.clients import PING, QUICK, manifest_path

IMAGE = images.image()
SERVED = Answer(200, {"Content-Type": IMAGE.media_type}, IMAGE.manifest)
LATEST = manifest_path("latest")
OTHER = "/v2/team/other/manifests/latest"


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def served(repository: Repository) -> bool:
    """Tell whether a read is served; False without a request, for the sake of a limit."""
    try:
        return repository.fetch_manifest("latest").content == IMAGE.manifest
    except RateLimited:
        return False


@pytest.mark.parametrize(
    "asked",
    [
        "86400",
        "3601",
        "999999999999",
        "-86400",
        "soon",
        "1e9",
        "0x7fffffff",
        "7200, 7200",
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "",
    ],
)
@pytest.mark.parametrize("status", [429, 403])
def test_what_is_not_believed_stops_nobody(status: int, asked: str) -> None:
    """The next request of anybody goes out after a moment."""
    clock = Clock()
    registries = Registries(RegistryConfiguration(limits=QUICK), LocalBudgets(clock))
    busy = Answer(status, {"Retry-After": asked}, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}')
    with ScriptedRegistry(PING, Exchange("GET", LATEST, busy, times=None), Exchange("GET", OTHER, SERVED)) as registry:
        limited = registries.repository(registry.host, "team/app", "source")
        clock_ends_each_pause(clock, registries, registry.host)
        with pytest.raises(ImagePusherError, match="slow down"):
            limited.fetch_manifest("latest")
        clock.now += 1.001
        assert served(registries.repository(registry.host, "team/other", "source"))


def clock_ends_each_pause(clock: Clock, registries: Registries, host: str) -> None:
    """Let time pass as a request of this thread waits for the end of a pause."""
    budget = registries._budgets.of(host, "default", 64, None)
    limited = budget.limited

    def limited_for_a_moment(seconds: float | None, said: str = "") -> None:
        limited(seconds, said)
        clock.now += 1.001

    budget.limited = limited_for_a_moment  # type: ignore[method-assign,assignment]


def test_what_is_believed_stops_one_registry_and_is_looked_at_once_a_minute() -> None:
    clock = Clock()
    registries = Registries(RegistryConfiguration(limits=QUICK), LocalBudgets(clock))
    busy = Exchange("GET", LATEST, Answer(429, {"Retry-After": "3600"}, b'{"message": "slow down"}'), times=2)
    with (
        ScriptedRegistry(PING, Exchange("GET", LATEST, SERVED)) as elsewhere,
        ScriptedRegistry(PING, busy, Exchange("GET", OTHER, SERVED, times=3)) as registry,
    ):
        limited = registries.repository(registry.host, "team/app", "source")
        other = registries.repository(registry.host, "team/other", "source")
        assert not served(limited)
        assert served(registries.repository(elsewhere.host, "team/app", "source"))
        clock.now += 30
        with pytest.raises(
            RateLimited, match=r"asks for no requests for 3570 seconds: GET \S+ answered 429 \(slow down\)"
        ):
            other.fetch_manifest("latest")
        clock.now += 31
        assert not served(limited)
        clock.now += 30
        assert not served(other)
        clock.now += 31
        # The look finds that the registry serves: everybody may send again.
        assert [served(other) for _ in range(3)] == [True] * 3
