"""A copy of the project with an environment that is set up already, and a Redis as `deploy/redis` configures it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.deployed_redis import Deployed
from tests.deploy.local import make_secrets
from tests.support.processes import free_port

ROOT = Path(__file__).parents[2]
_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_DEADLINE = 300


@dataclass(frozen=True)
class Machine:
    """A folder with a copy of the project, its environment, a home and a place for temporary files."""

    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def programs(self) -> Path:
        return self.folder / "programs"

    def environment(self, **variables: str) -> dict[str, str]:
        """Return what a login shell of a new user has, the folder of the environment, and these variables."""
        return {
            "HOME": str(self.folder / "home"),
            "PATH": ":".join(_FOLDERS),
            "TMPDIR": str(self.temporary),
            "IMAGEPUSHER_VENV": str(self.venv),
        } | variables

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder of the project to its end; stdout and stderr come together."""
        return subprocess.run(
            command,
            cwd=self.project,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DEADLINE,
            check=False,
        )

    def bash(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script that may call the functions of deploy/setup.sh."""
        return self.run(
            "bash", "-c", f"set -euo pipefail; . deploy/setup.sh; {script}", "bash", *arguments, **variables
        )

    def path_without(self, *names: str, **stubs: str) -> str:
        """Return a PATH on which some programs are missing, and others are these scripts for sh."""
        self.programs.mkdir()
        for folder in map(Path, _FOLDERS):
            for program in folder.iterdir() if folder.is_dir() else ():
                link = self.programs / program.name
                if program.name not in {*names, *stubs} and not link.is_symlink():
                    link.symlink_to(program)
        for name, text in stubs.items():
            write_program(self.programs / name, text)
        return str(self.programs)

    def left_behind(self) -> list[str]:
        """Return temporary files, and command lines of processes that name the folder."""
        files = [str(path.relative_to(self.temporary)) for path in self.temporary.iterdir()]
        lines = [_command_line(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
        return files + [line for line in lines if str(self.folder) in line]

    def pip_calls(self) -> list[str]:
        log = self.venv / "calls"
        return [line for line in log.read_text().splitlines() if line.startswith("-m pip")] if log.exists() else []


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def _command_line(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.project.mkdir()
    for name in ("deploy", "tasks", "workers"):
        shutil.copytree(ROOT / name, machine.project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, machine.project / name)
    for folder in (machine.temporary, machine.folder / "home", machine.venv / "bin"):
        folder.mkdir(parents=True)
    # The real interpreter, which sees the copy before the project itself, and notes how it was called.
    write_program(
        machine.venv / "bin" / "python",
        f'echo "$*" >>"{machine.venv}/calls"\nPYTHONPATH="{machine.project}" exec "{sys.executable}" "$@"',
    )
    write_program(machine.venv / "bin" / "imagepusher", 'exec "${0%/*}/python" -m workers.cli "$@"')
    stamped = machine.bash(
        'for extras in "" dev; do _fingerprint "$1" >"$1/.imagepusher-installed-$extras"; done', str(machine.venv)
    )
    assert stamped.returncode == 0, stamped.stdout
    return machine


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    port = free_port()
    secrets = make_secrets(tmp_path / "secrets", f"127.0.0.1:{port}")
    with (secrets / "users.acl").open("a") as users:
        users.write("user admin on >made-up allcommands allkeys allchannels\n")
    server = Deployed(tmp_path, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()
