"""What `pip install` of the project brings: both packages, their data, and the console script."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.iterdir()
    return zipfile.ZipFile(built)


def test_a_wheel_holds_the_schema_and_the_types(wheel: zipfile.ZipFile) -> None:
    assert wheel.read("tasks/schema.v1.json") == (ROOT / "tasks" / "schema.v1.json").read_bytes()
    assert {"tasks/py.typed", "workers/py.typed"} <= set(wheel.namelist())


def test_a_wheel_holds_two_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    folders = {name.partition("/")[0] for name in wheel.namelist()}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"tasks", "workers"}


def test_a_wheel_brings_the_command_and_the_client(wheel: zipfile.ZipFile) -> None:
    (path,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    declared = wheel.read(path).decode().splitlines()
    assert "imagepusher = workers.cli.main:main" in declared
    assert "default = workers.client.open:open_client" in declared
