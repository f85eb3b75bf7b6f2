"""Credential helpers are real programs on the PATH (BEHAVIOUR 8.2)."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tasks.registry.auth.credential_helpers import REMEMBERED_SECONDS, CredentialHelpers, HelperFailed
from tasks.registry.auth.helper_process import _tell
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

    def write(
        script: str, *, seconds: float = 60, variables: Mapping[str, str] | None = None, secret: str = ""
    ) -> CredentialHelpers:
        program = tmp_path / "docker-credential-test"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.defpath}", "CALLS": str(tmp_path / "calls")}
        return CredentialHelpers(environment | dict(variables or {}), clock, seconds, {secret})

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
        "echo 'credentials not found in native keychain' >&2; exit 1",
        "echo 'credentials not found in native keychain'; exit 0",
        "echo 'Credentials not found'; exit 2",
        "echo 'err: exit status 1, out: `credentials not found in native keychain`'; exit 1",
        "echo 'no credentials server URL'; exit 1",
        "echo 'no credentials username' >&2; exit 1",
        """echo '{"message": "credentials not found in native keychain"}'; exit 1""",
        """echo '{"Username": "", "Secret": ""}'""",
        """echo '{"Username": null, "Secret": null}'""",
        """echo '{"ServerURL": "quay.io", "Username": "user", "Secret": ""}'""",
        "echo '{}'",
        "exit 0",
        "echo; echo a word of debugging >&2",
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
    "script",
    [
        """echo '{"username": "u", "secret": "s"}'""",
        """echo 'a warning' >&2; printf '\\357\\273\\277{"Username": "u", "Secret": "s", "Expires": 3}'""",
    ],
)
def test_a_helper_may_write_its_own_way(install: Install, script: str) -> None:
    assert install(script).find("test", "quay.io") == Credentials("u", "s")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'pass not initialized: exit status 1'; exit 1",
            "ended with status 1: pass not initialized: exit status 1",
        ),
        ("echo; echo 'the vault is sealed' >&2; echo 'second line' >&2; exit 2", "status 2: the vault is sealed"),
        ("echo 'out first'; echo 'then err' >&2; exit 1", "status 1: out first"),
        ("printf 'a\\033[31m red\\tword'; exit 1", r"status 1: a \[31m red word"),
        ("head -c 900 /dev/zero | tr '\\0' x; echo ' y'; exit 1", "status 1: x{200}$"),
        ("exit 3", "status 3 and says nothing of why"),
    ],
)
def test_a_helper_that_fails_says_why(install: Install, script: str, reason: str) -> None:
    with pytest.raises(HelperFailed, match=reason):
        install(script).find("test", "quay.io")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo SECRET; echo SECRET >&2; exit 3", "status 3"),
        ("echo SECRET", "did not answer"),
        ("echo '[\"SECRET\"]'", "did not answer"),
        ("""echo '{"Username": "u", "Secret": ["SECRET"]}'""", "did not answer"),
        ("""echo '{"Username": "u", "Secret": "SECRET"}'; echo 'cannot lock SECRET here' >&2; exit 1""", "cannot lock"),
        ("""echo '{"Secret": "SECRET" and more'; exit 1""", "status 1"),
        ("echo 'get https://user:SECRET@vault.example.com failed'; exit 1", "vault.example.com failed"),
        ("echo 'login with password=SECRET failed'; exit 1", "login with password="),
        ("echo 'the token: SECRET'; exit 1", "the token: "),
        ("echo 'refused SECRETaBcD1234567890xyzXYZ today'; exit 1", "refused .* today"),
        ("kill -9 $$", "status -9"),
        ("yes SECRET", "more than 65536 bytes"),
    ],
)
def test_a_helper_that_fails_shows_no_secret(install: Install, script: str, reason: str) -> None:
    """BEHAVIOUR 6.7."""
    with pytest.raises(HelperFailed, match=reason) as raised:
        install(script).find("test", "quay.io")
    assert "SECRET" not in str(raised.value)


def test_a_helper_inherits_no_secret(install: Install, tmp_path: Path) -> None:
    """BEHAVIOUR 6.7."""
    secrets = {
        "IMAGEPUSHER_DEST_CREDS": "user:hunter2",
        "IMAGEPUSHER_BROKER_URL": "redis://:hunter2@redis",
        "PUSHER_PASSWORD": "hunter2",
        "DOCKER_AUTH_CONFIG": '{"auths": {"quay.io": {"password": "hunter2"}}}',
        "NAMED_BY_THE_SETTINGS": "hunter2",
    }
    own = {"AWS_SECRET_ACCESS_KEY": "for the helper", "PASSWORD_STORE_DIR": "/home/user/.pass"}
    helpers = install(
        'env > "$CALLS"; echo "it is hunter2 indeed"; exit 1', variables=secrets | own, secret="NAMED_BY_THE_SETTINGS"
    )
    with pytest.raises(HelperFailed) as raised:
        helpers.find("test", "quay.io")
    assert "hunter2" not in str(raised.value)
    seen = (tmp_path / "calls").read_text()
    assert "hunter2" not in seen
    assert all(f"{name}={value}" in seen.splitlines() for name, value in own.items())


def test_what_a_helper_started_may_hold_its_errors_open(install: Install, tmp_path: Path) -> None:
    helpers = install("""sleep 600 >&- & echo $! > "$CALLS"; echo '{"Username": "u", "Secret": "s"}'""")
    try:
        assert helpers.find("test", "quay.io") == Credentials("u", "s")
    finally:
        os.kill(int((tmp_path / "calls").read_text()), signal.SIGKILL)


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
