"""The scripts of the project: what shellcheck says of them, and what they do on machines that lack something."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT, Machine, write_program
from tests.support.processes import find_program


def scripts() -> list[str]:
    """Return all scripts for a shell, by what their first line says."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else [str(path) for path in ROOT.glob("*/*")]
    return [name for name in names if name and _is_script(ROOT / name)]


def _is_script(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline().rstrip()
    is_program = first.startswith(b"#!") and first.endswith((b"/sh", b"bash"))
    return is_program or first.startswith(b"# shellcheck shell=")


def test_shellcheck_finds_nothing() -> None:
    found = scripts()
    assert {"deploy/demo", "deploy/setup.sh", "tests/run"} <= set(found)
    program = find_program("shellcheck", "shellcheck")
    checked = subprocess.run(
        [program, "--external-sources", *found], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.fixture
def suite(machine: Machine) -> Machine:
    """Give the machine a suite of two tests, one of which fails, and tests/run."""
    folder = machine.project / "tests"
    folder.mkdir()
    script = folder / "run"
    script.write_bytes((ROOT / "tests" / "run").read_bytes())
    script.chmod(0o755)
    (folder / "test_small.py").write_text(
        "import os\n\n\ndef test_good() -> None:\n    assert 'IMAGEPUSHER_JOBS' not in os.environ\n\n\n"
        "def test_bad() -> None:\n    assert os.environ['TMPDIR'] == 'elsewhere'\n"
    )
    # The packages of the whole suite are not what is tried here.
    script.write_text(re.sub("need_packages (?=docker-registry|npm|golang-go)", "true ", script.read_text()))
    return machine


def test_the_suite_runs_with_arguments_of_pytest(suite: Machine) -> None:
    ended = suite.run("tests/run", "tests/test_small.py::test_good", "-q", IMAGEPUSHER_JOBS="nonsense")
    assert ended.returncode == 0, ended.stdout
    assert "1 passed" in ended.stdout
    assert suite.left_behind() == []
    assert suite.pip_calls() == [], "a second run sets up nothing"


def test_a_test_that_fails_fails_the_suite(suite: Machine) -> None:
    ended = suite.run("tests/run", "tests", "-q")
    assert ended.returncode == 1
    assert "1 failed, 1 passed" in ended.stdout
    assert "Failed: pytest" in ended.stdout
    assert suite.left_behind() == []


def test_an_environment_is_prepared_once(machine: Machine) -> None:
    """Anything that the environment depends on makes it be prepared again: here a version."""
    write_program(machine.venv / "bin" / "python", f'echo "$*" >>"{machine.venv}/calls"')
    (machine.venv / "pyvenv.cfg").touch()
    stamped = 'for extras in "" dev; do _fingerprint "$1" >"$1/.imagepusher-installed-$extras"; done'
    assert machine.bash(stamped, str(machine.venv)).returncode == 0
    for extras in ("", "dev"):
        assert machine.bash('need_venv "$1" "$2"', str(machine.venv), extras).returncode == 0
    assert machine.pip_calls() == []
    with (machine.project / "deploy" / "constraints.txt").open("a") as constraints:
        constraints.write("# for nobody\nsomething==1.0\n")
    assert machine.bash('need_venv "$1" dev', str(machine.venv)).returncode == 0
    *locked, project = [call for call in machine.pip_calls() if " install " in call]
    assert len(locked) == 2
    assert all("--require-hashes --no-deps --only-binary :all:" in call for call in locked)
    assert project == "-m pip install --no-input --no-deps --no-build-isolation --editable ."
    assert machine.bash('need_venv "$1" ""', str(machine.venv)).returncode == 0
    assert len([call for call in machine.pip_calls() if " install " in call]) == 3, (
        "with extras it is there without them"
    )


def test_an_installation_that_fails_shows_the_end_of_its_log_and_is_tried_again(machine: Machine) -> None:
    failing = 'case "$*" in *install*) seq 100; echo no such version >&2; exit 1;; esac'
    write_program(machine.venv / "bin" / "python", failing)
    (machine.venv / "pyvenv.cfg").touch()
    for _ in range(2):
        ended = machine.bash('need_venv "$1" dev', str(machine.venv))
        assert ended.returncode == 1
        assert "pip failed; its log ends:" in ended.stdout
        assert "no such version" in ended.stdout
        assert "\n60\n" not in ended.stdout
    assert machine.left_behind() == []


@pytest.mark.parametrize("content", ["notes.txt", "pyvenv.cfg"])
def test_a_folder_of_someone_else_is_not_touched(machine: Machine, content: str) -> None:
    folder = machine.folder / "mine"
    (folder / "bin").mkdir(parents=True)
    (folder / content).touch()
    ended = machine.bash('need_venv "$1" ""', str(folder))
    assert ended.returncode == 1
    assert "set IMAGEPUSHER_VENV" in ended.stdout
    assert (folder / content).exists()


def test_a_machine_without_a_recent_python_says_so(machine: Machine) -> None:
    old = "exit 1"
    names = ("python3", "python3.11", "python3.12", "python3.13")
    path = machine.path_without(**dict.fromkeys(names, old))
    ended = machine.bash("find_python", PATH=path)
    assert ended.returncode == 1
    assert "Python 3.11 or newer is needed" in ended.stdout


def test_an_environment_that_is_first_on_the_path_is_not_made_from_itself(machine: Machine) -> None:
    own = Path(sys.prefix) / "bin"
    found = Path(machine.bash("find_python", PATH=f"{own}:{os.environ['PATH']}").stdout.strip())
    assert (own / "python3").is_file()
    assert found.parent != own
    assert found.resolve() == Path(sys.executable).resolve()


def test_packages_that_are_there_need_no_rights(machine: Machine) -> None:
    path = machine.path_without("apt-get", "sudo")
    assert machine.bash("need_packages bash coreutils", PATH=path).stdout == ""
    missing = machine.bash("need_packages bash no-such-package", PATH=path)
    assert missing.returncode == 1
    assert "Missing: no-such-package. There is no apt-get here" in missing.stdout
