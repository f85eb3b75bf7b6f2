"""Credential helpers: programs that keep passwords (the protocol of docker-credential-helpers, `get`)."""

import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Final

import msgspec

from tasks.registry.http.expiring import Expiring, ExpiringCache
from tasks.registry.settings import Credentials

SECONDS: Final = 30.0
LONGEST_OUTPUT: Final = 64 * 1024
# A helper may give short-lived tokens, and starting it for every request would cost more than the request.
REMEMBERED_SECONDS: Final = 300.0

_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]+")
_NOT_FOUND: Final = b"credentials not found"
_IDENTITY_TOKEN: Final = "<token>"  # what a helper says in place of a user  # noqa: S105 - a helper's word for it, not a password


class HelperFailed(Exception):
    """A helper gave no answer; the message says why in words of this program, never in its own."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    credentials: Credentials | None = None
    fault: str = ""


class _Output(msgspec.Struct):
    Username: str = ""
    Secret: str = ""


_outputs: Final = msgspec.json.Decoder(_Output)


class CredentialHelpers:
    """The helpers on the PATH of `environment`; answers and failures serve for `REMEMBERED_SECONDS`. Thread-safe."""

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = SECONDS,
    ) -> None:
        self._environment = environment
        self._seconds = seconds
        self._cache: ExpiringCache[tuple[str, str], _Outcome] = ExpiringCache(clock)

    def find(self, helper: str, server: str) -> Credentials | None:
        """Return what `docker-credential-HELPER get` knows of a server, None if nothing; raises HelperFailed."""
        outcome = self._cache.value((helper, server), lambda: Expiring(self._ask(helper, server), REMEMBERED_SECONDS))
        if outcome.fault:
            raise HelperFailed(outcome.fault)
        return outcome.credentials

    def _ask(self, helper: str, server: str) -> _Outcome:
        if not _NAME.fullmatch(helper):
            return _Outcome(fault="its name may hold only letters, digits, '_', '.' and '-'")
        program = shutil.which(f"docker-credential-{helper}", path=self._environment.get("PATH", os.defpath))
        if program is None:
            return _Outcome(fault=f"docker-credential-{helper} is not on the PATH")
        try:
            status, output = _run(program, server, self._environment, self._seconds)
        except TimeoutError:
            return _Outcome(fault=f"docker-credential-{helper} took longer than {self._seconds:g} seconds")
        except OSError as error:
            return _Outcome(fault=f"docker-credential-{helper} cannot be run: {error.strerror}")
        return _outcome(helper, status, output)


def _outcome(helper: str, status: int, output: bytes) -> _Outcome:
    if len(output) > LONGEST_OUTPUT:
        return _Outcome(fault=f"docker-credential-{helper} says more than {LONGEST_OUTPUT} bytes")
    if status != 0:
        if _NOT_FOUND in output.lower():
            return _Outcome()
        return _Outcome(fault=f"docker-credential-{helper} ended with status {status}")
    try:
        said = _outputs.decode(output)
    except (ValueError, RecursionError):
        return _Outcome(fault=f"docker-credential-{helper} did not answer with credentials")
    if not said.Secret:
        return _Outcome()
    if said.Username == _IDENTITY_TOKEN:
        return _Outcome(Credentials(identity_token=said.Secret))
    return _Outcome(Credentials(said.Username, said.Secret))


def _run(program: str, server: str, environment: Mapping[str, str], seconds: float) -> tuple[int, bytes]:
    """Return status and output, the latter cut after `LONGEST_OUTPUT` and a byte; raises TimeoutError and OSError."""
    deadline = time.monotonic() + seconds
    process = subprocess.Popen(  # noqa: S603 - the name was checked, and the user's configuration named it
        [program, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
        bufsize=0,
    )
    with process:
        try:
            _tell(process.stdin, server)
            output = _read(process.stdout, deadline)
            if len(output) > LONGEST_OUTPUT:
                process.kill()
            return process.wait(max(0.0, deadline - time.monotonic())), output
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
        # A helper may end without reading: its status says what that means.
        return


def _read(stdout: IO[bytes] | None, deadline: float) -> bytes:
    output = bytearray()
    if stdout is None:
        return b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while len(output) <= LONGEST_OUTPUT:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            piece = os.read(stdout.fileno(), LONGEST_OUTPUT + 1 - len(output))
            if not piece:
                break
            output += piece
    return bytes(output)
