"""The tour of the README, taken to the letter: its blocks in their order, on ports that are free."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.docs.readme import ROOT, Block, readme
from tests.support.processes import find_program, free_port
from tests.support.workers import environment

SECTION: Final = "Ten minutes with two registries"
_PORTS: Final = ("5001", "5002", "6390")
_DEADLINE: Final = 300

# A reader takes longer than servers need to start.
_WAIT: Final = """
reachable() { until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do sleep 0.05; done; }
"""
_AFTER: Final = {
    "docker-registry serve": "reachable 5001; reachable 5002",
    "redis-server --port": "reachable 6390; until grep -q ready worker.log; do sleep 0.05; done",
}


@dataclass(frozen=True)
class Tour:
    """What each block of the tour wrote to stdout, in their order, and what was there at the end."""

    outputs: list[str]
    left: set[str]


def _script(blocks: list[Block]) -> str:
    parts = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", _WAIT]
    for block in blocks:
        # What a block starts is waited for in the middle of it where the same block goes on with it.
        lines = []
        for line in block.text.splitlines():
            lines.append(line)
            if line.startswith("imagepusher worker"):
                lines.append(_AFTER["redis-server --port"])
        parts += [f"echo '>>> {block.line}'", "\n".join(lines)]
        if "docker-registry serve" in block.text:
            parts.append(_AFTER["docker-registry serve"])
    return "\n".join(parts)


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    folder = tmp_path_factory.mktemp("tour")
    find_program("docker-registry", "docker-registry")
    find_program("skopeo", "skopeo")
    (folder / "deploy").symlink_to(ROOT / "deploy")
    moved = {port: str(free_port()) for port in _PORTS}
    moves = re.compile("|".join(moved))

    def here(text: str) -> str:
        return moves.sub(lambda found: moved[found[0]], text)

    (request,) = readme().of("yaml", SECTION)
    (folder / "request.yaml").write_text(here(request.text))
    (folder / "tour.sh").write_text(here(_script(readme().of("bash", SECTION))))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "err").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "tour.sh"],
            cwd=folder,
            env=environment({"PATH": path}),
            stdout=subprocess.PIPE,
            stderr=log,
            # A group of its own: what the tour started ends with it, whatever becomes of the shell.
            start_new_session=True,
        )
    try:
        output = process.communicate(timeout=_DEADLINE)[0].decode()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 0, f"{output}\n{(folder / 'err').read_text()}"
    for port, other in moved.items():
        output = output.replace(other, port)
    outputs = [part.partition("\n")[2] for part in output.split(">>> ")[1:]]
    return Tour(outputs, {entry.name for entry in folder.iterdir()} - {"deploy", "err", "tour.sh"})


def shape(text: str) -> list[str]:
    """Return the lines of an output without what differs each time: digests, amounts, widths."""
    worn = re.sub(r"\b[0-9a-f]{12}\b", "DIGEST", text)
    worn = re.sub(r"\b\d+\.\d+ (?=s:|MiB)", "AMOUNT ", worn)
    return [" ".join(line.split()) for line in worn.splitlines() if line.strip()]


def test_every_block_of_the_tour_runs_and_ends_as_it_says(tour: Tour) -> None:
    assert len(tour.outputs) == len(readme().of("bash", SECTION))
    assert tour.left == set()


def test_the_output_that_is_shown_is_that_of_the_command(tour: Tour) -> None:
    (shown,) = readme().of("text", SECTION)
    found = next(output for output in tour.outputs if "Push tour succeeded" in output)
    assert shape(shown.text) == shape(found.partition("\n{")[0])


def test_what_the_tour_says_of_its_pushes_is_so(tour: Tour) -> None:
    everything = "\n".join(tour.outputs)
    assert "Dry run, nothing was written." in everything
    assert "s390x" in next(output for output in tour.outputs if '"manifests"' in output)
    looking = next(output for output in tour.outputs if "Undo of push tour" in output)
    assert "Push tour verified: 2 tags" in looking
    assert "unchanged" in looking
    assert "Undo of push tour succeeded: 2 tags" in looking
    assert '"state": "succeeded"' in everything
    assert "Nothing was found that would keep a push from working" in everything
    broken = next(output for output in tour.outputs if "Push broken failed" in output)
    assert "[source_missing]" in broken
    assert "Push broken succeeded" in broken
