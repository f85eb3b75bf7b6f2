"""Credential helpers are real programs on the PATH (BEHAVIOUR 8.2)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.registry.auth.credential_helpers import REMEMBERED_SECONDS, CredentialHelpers, HelperFailed, _tell
from tasks.registry.settings import Credentials

Install = Callable[..., CredentialHelpers]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def install(tmp_path: Path, clock: Clock) -> Install:
    """Write a shell script as `docker-credential-test`; it may count its calls in the file `$CALLS`."""

    def write(script: str, *, seconds: float = 60) -> CredentialHelpers:
        program = tmp_path / "docker-credential-test"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.defpath}", "CALLS": str(tmp_path / "calls")}
        return CredentialHelpers(environment, clock, seconds)

    return write


ECHO = """
test "$1" = get || exit 9
server=$(cat)
echo "$server" >> "$CALLS"
printf '{"ServerURL": "%s", "Username": "user of %s", "Secret": "a:b"}' "$server" "$server"
"""


def test_a_helper_is_told_the_server_and_says_the_credentials(install: Install) -> None:
    """BEHAVIOUR 8.2."""
    assert install(ECHO).find("test", "quay.io") == Credentials("user of quay.io", "a:b")


def test_the_user_token_means_an_identity_token(install: Install) -> None:
    helpers = install("""echo '{"Username": "<token>", "Secret": "identity"}'""")
    assert helpers.find("test", "quay.io") == Credentials(identity_token="identity")


@pytest.mark.parametrize(
    "script",
    [
        "echo 'credentials not found in native keychain'; exit 1",
        "echo 'Credentials not found'; exit 1",
        """echo '{"Username": "", "Secret": ""}'""",
    ],
)
def test_a_helper_may_know_nothing(install: Install, script: str) -> None:
    assert install(script).find("test", "quay.io") is None


def test_a_helper_need_not_read_what_it_is_told(install: Install) -> None:
    helpers = install("""exec <&-; echo '{"Username": "u", "Secret": "s"}'""")
    assert helpers.find("test", "quay.io") == Credentials("u", "s")
    reader, writer = os.pipe()
    os.close(reader)
    _tell(os.fdopen(writer, "wb", 0), "quay.io")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo SECRET; echo SECRET >&2; exit 3", "status 3"),
        ("echo SECRET", "did not answer"),
        ("echo '[\"SECRET\"]'", "did not answer"),
        ("kill -9 $$", "status -9"),
        ("yes SECRET", "more than 65536 bytes"),
    ],
)
def test_a_helper_that_fails_is_not_quoted(install: Install, script: str, reason: str) -> None:
    """BEHAVIOUR 6.7."""
    with pytest.raises(HelperFailed, match=reason) as raised:
        install(script).find("test", "quay.io")
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("script", ["exec sleep 600", "exec >&-; exec sleep 600"])
def test_a_helper_that_takes_too_long_is_ended(install: Install, script: str) -> None:
    with pytest.raises(HelperFailed, match="longer than"):
        install(script, seconds=0.2).find("test", "quay.io")


def test_a_helper_that_is_not_installed_is_named(install: Install) -> None:
    with pytest.raises(HelperFailed, match="docker-credential-absent is not on the PATH"):
        install("").find("absent", "quay.io")


def test_a_helper_that_is_no_program_is_named(install: Install, tmp_path: Path) -> None:
    helpers = install("")
    (tmp_path / "docker-credential-test").write_text("#!/no/such/interpreter\n")
    with pytest.raises(HelperFailed, match="docker-credential-test cannot be run"):
        helpers.find("test", "quay.io")


@pytest.mark.parametrize("name", ["", "../test", "a/b", "test;x", "test\n", "te st"])
def test_a_name_that_is_a_path_or_more_is_refused(install: Install, name: str) -> None:
    with pytest.raises(HelperFailed, match="its name"):
        install(ECHO).find(name, "quay.io")


def test_an_answer_serves_for_a_while_and_is_then_asked_again(install: Install, clock: Clock, tmp_path: Path) -> None:
    helpers = install(ECHO)
    helpers.find("test", "quay.io")
    clock.now += REMEMBERED_SECONDS - 1
    helpers.find("test", "quay.io")
    helpers.find("test", "gcr.io")
    assert (tmp_path / "calls").read_text().split() == ["quay.io", "gcr.io"]
    clock.now += 1
    helpers.find("test", "quay.io")
    assert (tmp_path / "calls").read_text().split() == ["quay.io", "gcr.io", "quay.io"]
