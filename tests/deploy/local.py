"""Run what the files in deploy/ say, as processes of this machine: the same words, with their paths and ports moved."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.processes import wait_until

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
_INSTALLED: Final = Path(sys.executable).parent

# Python imports it before anything else: it notes every file that is opened to be written, made, moved or removed.
_AUDIT: Final = """
import os, sys

log = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
    elif event not in {"os.mkdir", "os.remove", "os.rename", "os.utime", "os.truncate", "os.link", "os.symlink"}:
        return
    else:
        path = arguments[0]
    os.write(log, os.fsencode(path) + b"\\n")

sys.addaudithook(note)
"""


class Started:
    """A process of a machine."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._asked = False

    def ask_to_end(self) -> None:
        """Send SIGTERM, once: a second one tells a worker to drop what it does."""
        if not self._asked:
            self._asked = True
            self.process.terminate()


@dataclass(frozen=True)
class Machine:
    """Where things of a container or of a host are here: `moved` maps texts to what stands for them."""

    folder: Path
    moved: dict[str, str] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """Return a word of a command, or a value of a variable, as it is here."""
        there = "|".join(re.escape(text) for text in sorted(self.moved, key=len, reverse=True))
        return re.sub(there, lambda found: self.moved[found[0]], text) if there else text

    def command(self, words: Sequence[str]) -> list[str]:
        """Return a command as it is here; programs of the image are those that the suite runs with."""
        program, *rest = (self.here(word) for word in words)
        if program in {"python", "imagepusher"}:
            program = str(_INSTALLED / program)
        return [program, *rest]

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the whole environment of a process: nothing of this one's but what every process needs."""
        audit = self.folder / "audit"
        if not audit.exists():
            audit.mkdir()
            (audit / "sitecustomize.py").write_text(_AUDIT)
        own = {key: os.environ[key] for key in ("PATH", "LANG", "COVERAGE_FILE") if key in os.environ}
        # A home that is not there: whoever writes into it is found out.
        base = {"HOME": "/nonexistent", "PYTHONPATH": os.pathsep.join((str(audit), str(ROOT))), "PYTHONUNBUFFERED": "1"}
        said = {name: self.here(str(value)) for name, value in variables.items()}
        return own | base | {"AUDIT_LOG": str(self.folder / "audit.log"), "PYTHONDONTWRITEBYTECODE": "1"} | said

    def written(self) -> set[Path]:
        """Return every file that a Python process of this machine wrote, but for special ones."""
        log = self.folder / "audit.log"
        paths = {Path(line) for line in log.read_text().splitlines()} if log.exists() else set()
        return {path for path in paths if not path.is_relative_to("/dev") and not path.is_relative_to("/proc")}

    @contextmanager
    def running(self, name: str, words: Sequence[str], variables: Mapping[str, str]) -> Iterator[Started]:
        """Run a command until the context ends; it must have lived until then, and end well when it is asked to."""
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(
                self.command(words),
                env=self.environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        started = Started(process)
        try:
            yield started
        finally:
            started.ask_to_end()
            try:
                code = process.wait(300)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
        assert code == 0, f"{name} ended with {code}:\n{self.log(name).read_text()}"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def passes(self, words: Sequence[str], variables: Mapping[str, str]) -> bool:
        """Tell whether a check passes."""
        return (
            subprocess.run(
                self.command(words), env=self.environment(variables), capture_output=True, timeout=300, check=False
            ).returncode
            == 0
        )

    def wait_for(self, name: str, words: Sequence[str], variables: Mapping[str, str]) -> None:
        """Wait until a check passes, as whoever starts containers does."""

        def passes() -> bool:
            return self.passes(words, variables)

        try:
            wait_until(passes, f"{name} never became healthy")
        except AssertionError as error:
            raise AssertionError(f"{error}; its log:\n{self.log(name).read_text()}") from None


def ask_to_end(processes: Sequence[Started]) -> None:
    """Ask processes to end, all at once; whoever runs them waits for each."""
    for process in processes:
        process.ask_to_end()


def make_secrets(folder: Path, redis: str, *options: str) -> Path:
    """Run `deploy/redis/make-secrets` as deploy/README.md says, and return the folder of the secrets."""
    subprocess.run([DEPLOY / "redis" / "make-secrets", *options, folder, redis], check=True, timeout=300)
    return folder
