"""What a registry warns of is heard once (distribution-spec 1.1, "Warnings")."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from tasks.registry.http.warning import listening, take_warning
from tests.support.profiles import profiles
from tests.support.profiles.server import ProfileRegistry
from tests.unit.registry.clients import NAME, client


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ('299 - "move to \\"new\\""', ['r: move to "new"']),
        ('299 - "one", 299 agent "two"', ["r: one", "r: two"]),
        ('299 - "a\x1b[1m\nb"', ["r: a [1m b"]),
        ('199 - "other"', []),
        ("nonsense", []),
        (None, []),
    ],
)
def test_warnings_are_read_and_cleaned(header: str | None, said: list[str]) -> None:
    with listening() as warnings:
        for _ in range(3):
            take_warning("r", header)
    assert list(warnings) == said


def test_a_listener_hears_the_threads_of_its_context_and_nobody_elses(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor() as threads:
        with listening() as warnings:
            threads.submit(copy_context().run, take_warning, "r", '299 - "inside"').result()
        with listening() as others:
            take_warning("r", '299 - "outside"')
        take_warning("r", '299 - "outside"')
    assert (list(warnings), list(others)) == (["r: inside"], ["r: outside"])
    assert [each.message for each in caplog.records] == ["A registry warns: r: inside", "A registry warns: r: outside"]


def test_the_client_passes_them_on() -> None:
    with ProfileRegistry(profiles.CHATTY) as registry, listening() as warnings:
        registry.store.create(NAME)
        repository = client(registry.host)
        repository.resolve("a")
        repository.resolve("b")
        assert list(warnings) == [f"{registry.host}: this registry moves next week"]


def test_a_warning_shows_no_credentials() -> None:
    """6.7: neither those of the request nor those of an address."""
    said = "you sent token-of-ours; see https://user:password@host.example/x?sig=signature"
    with listening() as warnings:
        take_warning("r", f'299 - "{said}"', "Bearer token-of-ours")
    (warning,) = warnings
    assert warning == "r: you sent ***; see https://***@host.example/x?***"
