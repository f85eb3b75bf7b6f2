"""Runs repeat themselves, and a failing one becomes a short story."""

import pytest

from tests.simulation.command import run
from tests.simulation.planted import FAULTS

pytestmark = pytest.mark.timeout(900)
_A_FAULT = "no look before the write"


def test_a_seed_is_one_run_to_the_last_step() -> None:
    first = run("--hashes", "--first", "40", "--runs", "12", hash_seed="1")
    second = run("--hashes", "--first", "40", "--runs", "12", hash_seed="2")
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert len(set(first.stdout.split("\n"))) == 13  # each seed another run, and the empty last line


def test_all_seeds_that_ever_failed_are_mended() -> None:
    found = run("--known", "--runs", "20", "--first", "0")
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found(fault: object) -> None:
    name, seeds = fault.name, fault.seeds  # type: ignore[attr-defined]
    found = run("--planted", name, "--first", "0", "--runs", str(seeds), "--stop")
    assert found.returncode == 1, f"{seeds} runs did not find it: {found.stdout}{found.stderr}"
    assert " runs: [" in found.stdout, found.stderr


def test_a_failing_run_becomes_a_short_story() -> None:
    said = run("--planted", _A_FAULT, "--first", "0", "--runs", "60").stdout
    seed = said.split()[1]
    story = run("--planted", _A_FAULT, "--seed", seed).stdout
    faults = story.partition("Faults:\n")[2].partition("\n     ")[0].splitlines()
    assert len(faults) <= 2, story
    assert "WRONG" in story
    assert run("--planted", _A_FAULT, "--seed", seed).stdout == story
