"""What a wheel and a source distribution hold, and what a wheel does in an environment that had nothing."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.images import image, index
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload

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
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _built("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(built)


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel alone, and a folder that a user works in."""

    programs: Path
    folder: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith(("IMAGEPUSHER_", "PYTHON"))},
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "IMAGEPUSHER_STATE_DIR": str(self.folder / "state"),
        }
        return subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=540
        )


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [str(ROOT / "deploy" / "install"), "--wheel", str(built), str(python)], check=True, capture_output=True
    )
    here = folder / "work"
    here.mkdir()
    return Installed(python.parent, here)


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


def test_a_wheel_holds_the_deployments_and_none_of_the_secrets_made_there(wheel: zipfile.ZipFile) -> None:
    tracked = subprocess.run(["git", "ls-files", "deploy"], cwd=ROOT, check=True, capture_output=True, text=True)
    held = {name.removeprefix("workers/") for name in wheel.namelist() if name.startswith("workers/deploy/")}
    assert held == set(tracked.stdout.split())


def test_an_installed_wheel_pushes(
    installed: Installed, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    upload(registry_a.host, f"{name}/app", index([image("linux/amd64")]), "1")
    source, destination = f"{registry_a.host}/{name}/app:1", f"{registry_b.host}/{name}/app:1"
    pushed = installed.run("imagepusher", "copy", source, destination)
    assert pushed.returncode == 0, pushed.stderr
    assert Stored(registry_b.host).digest(f"{name}/app", "1") is not None


def test_an_installed_wheel_writes_its_files_and_the_demonstration_runs_from_them(installed: Installed) -> None:
    written = installed.run("imagepusher", "files", "here")
    assert written.returncode == 0, written.stderr
    shown = installed.run("here/deploy/demo")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert f"{installed.programs}/imagepusher copy SOURCE DESTINATION" in shown.stdout
    assert "tests/run" not in shown.stdout
    assert (installed.folder / "here" / "workers" / "README.md").read_bytes() == (
        ROOT / "workers" / "README.md"
    ).read_bytes()
    assert not list(installed.folder.rglob("__pycache__"))
    again = installed.run("imagepusher", "files", "here")
    assert (again.returncode, "here/deploy exists already" in again.stderr) == (2, True)
    project = installed.run("here/deploy/install", str(installed.programs / "python"))
    assert (project.returncode, "name its wheel by --wheel FILE" in project.stderr) == (2, True)


def test_a_checkout_says_where_its_files_are() -> None:
    told = commands.run("files", "anywhere", settings={})
    assert (told.code, str(ROOT / "deploy") in told.stderr) == (2, True)


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
