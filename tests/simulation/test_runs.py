"""Runs repeat themselves, and a failing one becomes a short story."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.simulation.command import run
from tests.simulation.planted import FAULTS, UNTRIED, Fault

pytestmark = pytest.mark.timeout(900)
# A foreign write is enough to show it: one run of ten of its family does.
_A_FAULT = "no look before the write"


def _name(fault: Fault) -> str:
    return fault.name


def test_a_seed_is_one_run_to_the_last_step() -> None:
    first = run("--hashes", "--first", "40", "--runs", "12", hash_seed="1")
    second = run("--hashes", "--first", "40", "--runs", "12", hash_seed="2")
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    lines = first.stdout.splitlines()
    assert len(set(lines)) == len(lines) >= 8  # those of storms are left out


def test_all_seeds_that_ever_failed_are_mended() -> None:
    found = run("--known", "--runs", "20", "--first", "0")
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("fault", [*FAULTS, *UNTRIED], ids=_name)
def test_a_fault_can_be_planted(fault: Fault) -> None:
    spec = importlib.util.find_spec(fault.module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    planted = fault.planted_in(source)
    assert planted != source
    compile(planted, spec.origin, "exec")


@pytest.mark.parametrize("fault", FAULTS, ids=_name)
def test_a_planted_fault_is_found(fault: Fault) -> None:
    found = run("--planted", fault.name, "--first", "0", "--runs", str(fault.runs), "--stop")
    assert found.returncode == 1, f"{fault.runs} runs did not find it: {found.stdout}{found.stderr}"
    assert " runs: [" in found.stdout, found.stderr


def test_a_failing_run_becomes_a_short_story() -> None:
    said = run("--planted", _A_FAULT, "--first", "0", "--runs", "200", "--stop")
    seed = re.match(r"seed (\S+) after", said.stdout)
    assert seed is not None, said.stdout + said.stderr
    story = run("--planted", _A_FAULT, "--seed", seed[1]).stdout
    faults = story.partition("Faults:\n")[2].partition("\n     ")[0].splitlines()
    assert len(faults) <= 2, story
    assert "WRONG" in story
    assert run("--planted", _A_FAULT, "--seed", seed[1]).stdout == story
