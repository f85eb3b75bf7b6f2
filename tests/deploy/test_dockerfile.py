"""`deploy/Dockerfile`: its instructions, what they copy, and its command and health check run for real."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deploy.local import DEPLOY, ROOT, Machine
from tests.support.redis_server import RedisServer

DOCKERFILE = DEPLOY / "Dockerfile"


class Instruction(NamedTuple):
    name: str
    value: str


def _instructions() -> list[Instruction]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines()]


INSTRUCTIONS = _instructions()
# What is said after the last FROM is what the image is.
FINAL = INSTRUCTIONS[max(at for at, found in enumerate(INSTRUCTIONS) if found.name == "FROM") :]


def _values(name: str) -> list[str]:
    return [found.value for found in FINAL if found.name == name]


def _environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for value in _values("ENV") for pair in value.split())


def test_the_base_is_pinned_and_slim() -> None:
    arguments = dict(found.value.split("=", 1) for found in INSTRUCTIONS if found.name == "ARG")
    bases = {
        found.value.split()[0].replace("${PYTHON}", arguments["PYTHON"])
        for found in INSTRUCTIONS
        if found.name == "FROM"
    }
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", bases.pop())


def test_it_runs_as_a_number_that_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", _values("USER")[-1])


def test_versions_are_those_that_are_tested() -> None:
    """deploy/install takes nothing but what constraints.txt has a hash of (tests/deploy/test_constraints.py)."""
    run = [found.value for found in INSTRUCTIONS if found.name == "RUN"]
    assert "deploy/install /opt/imagepusher/venv/bin/python flower,keyless,page,signatures,tracing" in run
    assert not [value for value in run if "pip " in value]
    assert "/constraints.txt" in " ".join(found.value for found in INSTRUCTIONS if found.name == "COPY")


def test_the_image_has_a_list_of_what_is_in_it() -> None:
    made = [found.value for found in INSTRUCTIONS if found.name == "RUN" and found.value.startswith("deploy/sbom ")]
    (_, environment, file) = made[0].split()
    assert environment == "/opt/imagepusher/venv/bin/python"
    assert f"--from=build {file} {file}" in _values("COPY")


def _ignored(path: str) -> bool:
    """Tell whether `.dockerignore` keeps a file out: the last line that fits it, or one of its folders, decides."""
    ignored = False
    parts = path.split("/")
    places = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        anywhere = pattern.removeprefix("**/")
        fits = pattern == "**" or any(
            fnmatch(place, pattern) or (anywhere != pattern and fnmatch(place.rpartition("/")[2], anywhere))
            for place in places
        )
        if fits:
            ignored = not line.startswith("!")
    return ignored


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what the COPY instructions bring out of the build context, at the paths that they name."""
    folder = tmp_path_factory.mktemp("context")
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [
        path for name in ("deploy", "tasks", "tests", "workers") for path in (ROOT / name).rglob("*") if path.is_file()
    ]
    names = [path.relative_to(ROOT).as_posix() for path in files]
    sent = [name for name in names if not _ignored(name)]
    for found in INSTRUCTIONS:
        if found.name != "COPY" or found.value.startswith("--from"):
            continue
        *sources, target = found.value.split()
        for source in sources:
            brought = [path for path in sent if path == source or path.startswith(f"{source}/")]
            assert brought, f"COPY {source}: .dockerignore keeps all of it out"
            for path in brought:
                into = target.strip("/") if path == source and not target.endswith("/") else None
                name = into or f"{target.strip('./')}/{path.removeprefix(source).lstrip('/') or Path(path).name}"
                place = folder / name.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, place)
    return folder


def test_the_context_holds_what_is_copied_and_nothing_else(context: Path) -> None:
    assert (context / "opt" / "imagepusher" / "flower" / "start.py").exists()
    assert not (context / "opt" / "imagepusher" / "flower" / "images").exists()
    assert {path.name for path in context.iterdir()} == {
        "LICENSE",
        "README.md",
        "deploy",
        "opt",
        "pyproject.toml",
        "tasks",
        "workers",
    }


def test_what_is_copied_can_be_built(context: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=context,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (wheel,) = tmp_path.iterdir()
    expected = {
        path.relative_to(ROOT).as_posix() for package in ("tasks", "workers") for path in (ROOT / package).rglob("*.py")
    }
    assert expected <= set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Machine]:
    """Run the image's command, with its environment, in a container's place."""
    folder = tmp_path_factory.mktemp("image")
    run = folder / "run"
    run.mkdir()
    machine = Machine(folder, {"/run/imagepusher": str(run)})
    command = [*json.loads(_values("ENTRYPOINT")[-1]), *json.loads(_values("CMD")[-1])]
    variables = {name: value for name, value in _environment().items() if name != "PATH"}
    broker = {"IMAGEPUSHER_BROKER_URL": f"{redis_server.url.removesuffix('/0')}/9"}
    with machine.running("worker", command, variables | broker):
        machine.wait_for("worker", _health_check(), variables)
        yield machine


def _health_check() -> list[str]:
    _, _, command = _values("HEALTHCHECK")[-1].partition("CMD ")
    return ["sh", "-c", command]


def test_the_health_check_passes_while_the_worker_lives(machine: Machine) -> None:
    assert machine.passes(_health_check(), {})


def test_the_health_check_fails_when_the_file_is_old_or_missing(tmp_path: Path) -> None:
    elsewhere = Machine(tmp_path, {"/run/imagepusher": str(tmp_path)})
    assert not elsewhere.passes(_health_check(), {})
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    assert elsewhere.passes(_health_check(), {})
    old = time.time() - 400
    os.utime(heartbeat, (old, old))
    assert not elsewhere.passes(_health_check(), {})
