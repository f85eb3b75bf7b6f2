"""How registries are reached: credentials, authentication files and TLS as the command line says (rules 8.1-8.5)."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.cli.conftest import Shell, actions, error_of, faults, report_of
from tests.conftest import MakeRegistry
from tests.support.certificates import Authority
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Index
from tests.support.processes import wait_until
from tests.support.registries import BasicAuth, DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import command, environment

GOOD = "me:geheim:with-colon"
USER, _, PASSWORD = GOOD.partition(":")


@pytest.fixture
def guarded(make_registry: MakeRegistry) -> DistributionRegistry:
    return make_registry(auth=BasicAuth({USER: PASSWORD}))


@pytest.fixture
def into(shell: Shell, multi_arch: Index, guarded: DistributionRegistry) -> list[str]:
    """Return the arguments that copy an image into the guarded registry."""
    return ["copy", shell.put_a(multi_arch), f"{guarded.host}/app:1", "--output", "json"]


@pytest.fixture
def out_of(shell: Shell, multi_arch: Index, guarded: DistributionRegistry) -> list[str]:
    """Return the arguments that copy an image out of the guarded registry."""
    upload(guarded.host, "app", multi_arch, "1", auth=(USER, PASSWORD))
    return ["copy", f"{guarded.host}/app:1", shell.destination(), "--output", "json"]


def test_credentials_are_given_by_value_stdin_or_environment(shell: Shell, into: list[str]) -> None:
    """Rule 8.2."""
    by_value = shell(*into, "--dest-creds", GOOD)
    assert (by_value.code, actions(report_of(by_value))) == (0, ["copied"])
    for again in (
        shell(*into, "--dest-creds", "-", stdin=f"{GOOD}\n"),
        shell(*into, settings={"IMAGEPUSHER_DEST_CREDS": GOOD}),
    ):
        assert (again.code, actions(report_of(again))) == (0, ["unchanged"])
        assert PASSWORD not in again.stdout + again.stderr


def test_credentials_of_the_source_are_its_own(shell: Shell, out_of: list[str], guarded: DistributionRegistry) -> None:
    """Rule 8.1: one registry, different credentials for source and destination."""
    assert faults(report_of(shell(*out_of, "--dest-creds", GOOD))) == ["authentication_refused"]
    for good in (
        shell(*out_of, "--src-creds", GOOD),
        shell(*out_of, "--src-creds=-", stdin=GOOD),
        shell(*out_of, settings={"IMAGEPUSHER_SRC_CREDS": GOOD}),
    ):
        assert good.code == 0
    same = ["copy", f"{guarded.host}/app:1", f"{guarded.host}/copy:1", "-o", "json"]
    refused = shell(*same, "--src-creds", GOOD, "--dest-creds", "me:wrong")
    assert (refused.code, faults(report_of(refused))) == (4, ["authentication_refused"])


@pytest.mark.parametrize("credentials", [None, "me:wrong", "nobody:geheim"])
def test_wrong_credentials_have_an_exit_code_of_their_own(
    shell: Shell, into: list[str], out_of: list[str], credentials: str | None
) -> None:
    """Rule 3.4."""
    for arguments, flag in ((into, "--dest-creds"), (out_of, "--src-creds")):
        refused = shell(*arguments, *([] if credentials is None else [flag, credentials]))
        assert (refused.code, faults(report_of(refused))) == (4, ["authentication_refused"])
        assert "geheim" not in refused.stdout + refused.stderr
    assert shell.digests() == {}


def test_some_refused_is_some_failed(shell: Shell, into: list[str]) -> None:
    ended = shell(*into, shell.destination())
    assert (ended.code, actions(report_of(ended))) == (1, ["failed", "copied"])


@pytest.mark.parametrize(
    ("credentials", "lacks"), [("me", "a password"), ("me:", "a password"), (":geheim", "a user"), ("", "a user")]
)
def test_half_a_pair_is_a_fault_of_usage(shell: Shell, into: list[str], credentials: str, lacks: str) -> None:
    """Rule 1.2."""
    refused = shell(*into, "--dest-creds", credentials)
    assert (refused.code, error_of(refused)["code"]) == (2, "usage")
    assert f"The credentials of the destination lack {lacks}: write USER:PASSWORD." in refused.stderr


def test_stdin_holds_one_thing(shell: Shell) -> None:
    refused = shell("push", "-", "--src-creds", "-", stdin=GOOD)
    assert refused.code == 2
    assert "cannot both come from stdin" in refused.stderr


def test_both_pairs_come_from_stdin_line_by_line(
    shell: Shell, out_of: list[str], guarded: DistributionRegistry
) -> None:
    same = ["copy", f"{guarded.host}/app:1", f"{guarded.host}/copy:1"]
    assert shell(*same, "--src-creds", "-", "--dest-creds", "-", stdin=f"{GOOD}\r\n{GOOD}\r\n").code == 0


@pytest.mark.parametrize("given", ["stdin", "environment"])
def test_a_password_is_in_no_list_of_processes(
    shell: Shell, multi_arch: Index, guarded: DistributionRegistry, given: str
) -> None:
    """Rule 6.7."""
    upload(guarded.host, "app", multi_arch, "1", auth=(USER, PASSWORD))
    stalled = Chosen(Fault(Kind.STALL_ANSWER, "GET", "/blobs/", times=100, at=0.9))
    flags = ["--src-creds", "-"] if given == "stdin" else []
    settings = shell.settings | ({"IMAGEPUSHER_SRC_CREDS": GOOD} if given == "environment" else {})
    with FaultyProxy(guarded.host, stalled) as proxy:
        running = subprocess.Popen(
            command("copy", f"{proxy.host}/app:1", shell.destination(), *flags),
            env=environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            assert running.stdin is not None
            running.stdin.write(f"{GOOD}\n".encode())
            running.stdin.close()
            wait_until(lambda: bool(proxy.injected), "the source was never read")
            lists = [_arguments(path) for path in Path("/proc").glob("[0-9]*") if _session(path) == running.pid]
        finally:
            running.kill()
            running.wait()
    assert any(b"workers.cli" in arguments for arguments in lists)
    assert not any(PASSWORD.encode() in arguments for arguments in lists)


def _session(process: Path) -> int | None:
    """Return the session of a process; other runs of these tests are in sessions of their own."""
    try:
        return os.getsid(int(process.name))
    except OSError:
        return None


def _arguments(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_an_authentication_file_serves_both_roles(shell: Shell, into: list[str], out_of: list[str]) -> None:
    """Rule 8.2."""
    host = into[2].partition("/")[0]
    entry = {"auth": base64.b64encode(GOOD.encode()).decode()}
    authfile = shell.write("auth.json", {"auths": {host: entry}})
    for arguments in (into, out_of):
        assert shell(*arguments, "--authfile", authfile).code == 0
        assert shell(*arguments, settings={"IMAGEPUSHER_AUTHFILE": authfile}).code == 0


def test_credentials_of_the_command_line_come_before_those_of_a_file(shell: Shell, into: list[str]) -> None:
    host = into[2].partition("/")[0]
    entry = {"auth": base64.b64encode(b"me:wrong").decode()}
    authfile = shell.write("auth.json", {"auths": {host: entry}})
    assert shell(*into, "--authfile", authfile).code == 4
    assert shell(*into, "--authfile", authfile, "--dest-creds", GOOD).code == 0


def test_an_authentication_file_that_is_broken_is_an_invalid_setting(shell: Shell, into: list[str]) -> None:
    missing = shell(*into, "--authfile", str(shell.folder / "none.json"))
    assert (missing.code, error_of(missing)["code"]) == (2, "usage")
    broken = shell(*into, "--authfile", shell.write("auth.json", '{"auths": {"geheim'))
    assert (broken.code, faults(report_of(broken))) == (2, ["settings_invalid"])
    assert "auth.json" in broken.stdout
    assert "geheim" not in broken.stdout + broken.stderr


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def encrypted(make_registry: MakeRegistry, authority: Authority) -> DistributionRegistry:
    return make_registry(tls=authority.certificates())


@pytest.fixture
def certificates(tmp_path: Path, authority: Authority) -> str:
    folder = tmp_path / "certs"
    folder.mkdir()
    shutil.copy(authority.path, folder / "authority.crt")
    return str(folder)


def test_a_certificate_is_verified_unless_told_otherwise(
    shell: Shell, multi_arch: Index, encrypted: DistributionRegistry, authority: Authority, certificates: str
) -> None:
    """Rule 8.5."""
    into = ["copy", shell.put_a(multi_arch), f"{encrypted.host}/app:1", "-o", "json"]
    for flags in ([], ["--dest-tls-verify"], ["--dest-tls-verify=true"], ["--src-tls-verify=false"]):
        refused = shell(*into, *flags)
        assert refused.code == 3
        (message,) = [tag["error"]["message"] for tag in report_of(refused)["items"][0]["tags"]]
        assert f"{encrypted.host}/v2/: the certificate cannot be verified" in message
    assert shell(*into, "--dest-tls-verify=false").code == 0
    assert shell(*into, "--dest-cert-dir", certificates).code == 0
    assert Stored(encrypted.host, verify=str(authority.path)).digest("app", "1") == multi_arch.digest

    out_of = ["copy", f"{encrypted.host}/app:1", shell.destination(), "-o", "json"]
    assert shell(*out_of, "--dest-cert-dir", certificates).code == 3
    assert shell(*out_of, "--src-tls-verify=0").code == 0
    assert shell(*out_of, "--src-tls-verify", "--src-cert-dir", certificates).code == 0


def test_a_bare_flag_takes_no_argument(shell: Shell, multi_arch: Index) -> None:
    """As skopeo's: what follows `--src-tls-verify` is the source."""
    ended = shell("copy", "--src-tls-verify", shell.put_a(multi_arch), "--dest-tls-verify", shell.destination())
    assert (ended.code, shell.digests()) == (0, {"1": multi_arch.digest})
    refused = shell("copy", "--src-tls-verify=maybe", "a.example/a:1", shell.destination())
    assert refused.code == 2
    assert "'maybe' is not a valid boolean" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["copy", "--src-tls-verify", "maybe", "a.example/a:1", "b.example/b:1"],
        ["copy", "a.example/a:1", "b.example/b:1", "--src-tls-verify", "false"],
        ["push", "--src-tls-verify", "False", "request.yaml"],
    ],
)
def test_a_word_that_is_meant_as_the_value_of_a_flag_is_told_how_to_be(shell: Shell, arguments: list[str]) -> None:
    ended = shell(*arguments, "-o", "json")
    assert (ended.code, error_of(ended)["code"]) == (2, "usage")
    assert "--src-tls-verify alone means true; write --src-tls-verify=true or --src-tls-verify=false" in ended.stderr


def test_after_a_bare_flag_a_target_has_destinations_without_a_registry(shell: Shell) -> None:
    ended = shell("copy", "--target", "prod", "a.example/a:1", "--dest-tls-verify", "app:1", "-o", "json")
    assert error_of(ended)["code"] == "request_invalid"
    assert "prod" in ended.stderr


def test_a_client_certificate_is_found_in_the_folder(
    shell: Shell, multi_arch: Index, make_registry: MakeRegistry, authority: Authority, certificates: str
) -> None:
    """Rule 8.5."""
    registry = make_registry(tls=authority.certificates(require_client=True))
    into = ["copy", shell.put_a(multi_arch), f"{registry.host}/app:1", "--dest-cert-dir", certificates]
    assert shell(*into).code == 3
    pair = authority.issue("client")
    shutil.copy(pair.certificate, Path(certificates) / "client.cert")
    shutil.copy(pair.key, Path(certificates) / "client.key")
    assert shell(*into).code == 0


def test_a_folder_of_certificates_that_is_none_is_named(
    shell: Shell, multi_arch: Index, encrypted: DistributionRegistry, certificates: str
) -> None:
    into = ["copy", shell.put_a(multi_arch), f"{encrypted.host}/app:1", "-o", "json"]
    missing = shell(*into, "--dest-cert-dir", str(shell.folder / "none"))
    assert missing.code == 2
    assert "none' does not exist" in missing.stderr
    (Path(certificates) / "broken.crt").write_text("no certificate")
    broken = shell(*into, "--dest-cert-dir", certificates)
    assert (broken.code, faults(report_of(broken))) == (2, ["settings_invalid"])
    assert "broken.crt is no bundle of certificates" in json.dumps(broken.document)


def test_what_a_broker_would_carry_is_refused(shell: Shell) -> None:
    """Rule 6.7."""
    broker = {"IMAGEPUSHER_BROKER_URL": "redis://127.0.0.1:1/0"}
    arguments = ["copy", "a.example/a:1", "b.example/b:1", "--output", "json"]
    for flags, named in (
        (["--dest-creds", GOOD, "--src-tls-verify=false"], "--dest-creds, --src-tls-verify"),
        (["--dest-cert-dir", str(shell.folder)], "--dest-cert-dir"),
        (["--jobs", "2"], "--jobs"),
    ):
        refused = shell(*arguments, *flags, settings=broker)
        assert (refused.code, error_of(refused)["code"]) == (2, "usage")
        assert f"{named} cannot be used with a broker" in refused.stderr
        assert PASSWORD not in refused.stdout + refused.stderr
    by_environment = shell(*arguments, settings=broker | {"IMAGEPUSHER_SRC_CREDS": GOOD})
    assert by_environment.code == 2
    assert "--src-creds cannot be used with a broker" in by_environment.stderr
