"""The process of a credential helper: it reads a server and answers, within bounds of time and length."""

import os
import re
import selectors
import time
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, ClassVar, Final

from tasks.discreet import Discreet

if TYPE_CHECKING:
    import subprocess

LONGEST_OUTPUT: Final = 64 * 1024

# Not every secret-sounding variable: helpers need their own credentials (AWS_SECRET_ACCESS_KEY).
_SECRET: Final = re.compile(r"IMAGEPUSHER_.*|DOCKER_AUTH_CONFIG|(.*_)?(PASSWORD|PASSWD|CREDS)", re.IGNORECASE)


class Said(Discreet, frozen=True):
    """The output of a helper, cut to `LONGEST_OUTPUT` + 1 bytes, and its exit status."""

    _hidden: ClassVar = frozenset({"stdout", "stderr"})

    status: int
    stdout: bytes
    stderr: bytes = b""


def without_secrets(environment: Mapping[str, str], named: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment of a helper: without this program's variables, passwords, and the `named` variables."""
    hidden = frozenset(named)
    return {name: value for name, value in environment.items() if name not in hidden and not _SECRET.fullmatch(name)}


def ask(program: str, server: str, environment: Mapping[str, str], seconds: float) -> Said:
    """Run `program get` with the server as its input; raises TimeoutError and OSError."""
    # Few registries have a helper.
    import subprocess  # noqa: PLC0415

    deadline = time.monotonic() + seconds
    process = subprocess.Popen(  # noqa: S603 - the name was checked, and the user's configuration named it
        [program, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        bufsize=0,
    )
    with process:
        try:
            _tell(process.stdin, server)
            outputs = _read(process, deadline)
            if len(outputs[0]) > LONGEST_OUTPUT:
                process.kill()
            return Said(process.wait(max(0.0, deadline - time.monotonic())), *outputs)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            process.kill()


def _tell(stdin: IO[bytes] | None, server: str) -> None:
    if stdin is None:
        return
    try:
        with stdin:
            stdin.write(server.encode())
    except BrokenPipeError:
        # A helper may end without reading its input: its status then decides.
        return


def _read(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[bytes, bytes]:
    """Read until stdout ends: a child process of the helper may hold stderr open for longer."""
    stdout, stderr = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, output in ((process.stderr, stderr), (process.stdout, stdout)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, output)
        ended: list[bytearray] = []
        while len(stdout) <= LONGEST_OUTPUT and not any(output is stdout for output in ended):
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                output = key.data
                piece = os.read(key.fd, LONGEST_OUTPUT)
                if not piece:
                    selector.unregister(key.fileobj)
                    ended.append(output)
                output += piece[: LONGEST_OUTPUT + 1 - len(output)]
    return bytes(stdout), bytes(stderr)
