"""What a wheel and a source distribution hold: both packages, their data, the console script and the licence."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _built(target: str, folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(_built("wheel", tmp_path_factory.mktemp("wheel")))


def test_a_wheel_holds_the_schema_and_the_types(wheel: zipfile.ZipFile) -> None:
    assert wheel.read("tasks/schema.v1.json") == (ROOT / "tasks" / "schema.v1.json").read_bytes()
    assert {"tasks/py.typed", "workers/py.typed"} <= set(wheel.namelist())


def test_a_wheel_holds_what_the_page_shows(wheel: zipfile.ZipFile) -> None:
    shown = [path for folder in ("templates", "static") for path in (ROOT / "workers" / "page" / folder).iterdir()]
    assert shown
    assert {str(path.relative_to(ROOT)) for path in shown} <= set(wheel.namelist())


def test_a_wheel_holds_two_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    folders = {name.partition("/")[0] for name in wheel.namelist()}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"tasks", "workers"}


def test_a_wheel_brings_the_command_and_the_client(wheel: zipfile.ZipFile) -> None:
    (path,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    declared = wheel.read(path).decode().splitlines()
    assert "imagepusher = workers.cli.main:main" in declared
    assert "default = workers.client.open:open_client" in declared


def test_a_wheel_holds_the_licence_and_names_it(wheel: zipfile.ZipFile) -> None:
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    assert "License-Expression: Apache-2.0" in wheel.read(metadata).decode().splitlines()
    (licence,) = [name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_a_source_distribution_holds_what_a_wheel_is_built_from_and_what_runs_it(tmp_path: Path) -> None:
    built = _built("sdist", tmp_path)
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = {name for name in names if not name.startswith(("tasks/", "workers/", "deploy/"))}
    assert files == {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "SECURITY.md", "pyproject.toml"}
    assert {"tasks/schema.v1.json", "workers/cli/main.py"} <= names
    assert {"deploy/demo", "deploy/compose.yaml", "deploy/constraints.txt", "deploy/examples/README.md"} <= names
    assert not [name for name in names if "/secrets/" in name]
