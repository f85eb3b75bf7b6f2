"""The program itself: version, help, schema, settings, state folder, and what needs a broker."""

import json
import subprocess
import sys
from collections.abc import Collection, Mapping
from importlib.metadata import version
from importlib.resources import files
from textwrap import dedent

import pytest

from tests.acceptance.cli.conftest import Shell, actions, error_of, report_of
from tests.conftest import MakeRegistry
from tests.support.commands import Ended
from tests.support.images import Index
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer
from tests.support.registries import BasicAuth
from tests.support.workers import command, environment
from workers.cli.main import imagepusher

HEAVY = ("celery", "kombu", "redis", "requests", "urllib3", "fakeredis", "rich", "yaml", "msgspec", "asyncio")


def test_the_version_is_that_of_the_distribution(shell: Shell) -> None:
    ended = shell("--version")
    assert (ended.code, ended.stdout) == (0, f"imagepusher {version('imagepusher')}\n")


def uncovered(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which coverage is not measured: it loads modules of its own, and writes files."""
    return {key: value for key, value in environment(settings).items() if not key.startswith("COVERAGE_")}


def imported(*arguments: str, settings: Mapping[str, str], of: Collection[str] = HEAVY) -> set[str]:
    """Return which of some modules a command imported, by default the heavy ones."""
    code = (
        "import atexit, sys\n"
        "from workers.cli.main import main\n"
        f"atexit.register(lambda: print(*(sys.modules.keys() & set({of!r})), file=sys.stderr))\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=uncovered(settings), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.decode().splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["copy", "--help"], ["schema"]])
def test_what_needs_no_registry_imports_nothing_heavy(arguments: list[str]) -> None:
    """Startup is most of a short command; what counts is which modules, not a time that depends on the machine."""
    assert imported(*arguments, settings={}) == set()


def test_a_look_at_the_ledger_starts_no_worker(shell: Shell) -> None:
    assert imported("status", "--output", "json", settings=shell.settings) == {"msgspec"}


# What an embedded push has no use for: brokers and their client, clouds, tables for terminals, YAML, retries, proxies.
NEEDLESS = (
    "amqp", "asyncio", "azure", "boto3", "celery", "certifi", "charset_normalizer", "cryptography", "difflib", "google",
    "http.cookiejar", "http.server", "idna", "importlib.metadata", "importlib.resources", "jinja2", "kombu",
    "logging.config", "opentelemetry", "prometheus_client", "redis", "requests", "rich", "sigstore", "starlette",
    "structlog", "subprocess", "tenacity", "tornado", "urllib.request", "urllib3", "xml", "yaml",
)  # fmt: skip


@pytest.mark.parametrize("form", ["copy", "push"])
def test_a_push_loads_what_it_needs(shell: Shell, multi_arch: Index, form: str) -> None:
    """The start is most of a small push; what counts is which modules, not a time that depends on the machine."""
    source, destination = shell.put_a(multi_arch), shell.destination()
    repository, _, tag = destination.rpartition(":")
    request = {"items": [{"source": source, "destinations": {repository: [tag]}}]}
    path = shell.write("request.json", json.dumps(request))
    arguments = ["copy", source, destination] if form == "copy" else ["push", path]
    assert imported(*arguments, settings=shell.settings, of=NEEDLESS) == set()
    assert "succeeded" in shell("status").stdout


def test_help_names_every_command_and_exit_code(shell: Shell) -> None:
    ended = shell("--help")
    words = ended.stdout.split()
    assert ended.code == 0
    for name in ("copy", "push", "schema", "status", "undo", "verify", "worker"):
        assert name in words
        assert shell(name, "--help").code == 0
    assert "Exit codes: 0 all done, 1 some failed, 2 usage" in " ".join(words)


def test_help_fits_eighty_columns_and_is_cut_nowhere(shell: Shell) -> None:
    for arguments in ([], *([name] for name in imagepusher.commands)):
        lines = shell(*arguments, "--help", settings={"COLUMNS": "80"}).stdout.splitlines()
        assert max(map(len, lines)) <= 80, arguments
        assert not [line for line in lines[1:] if line.endswith("...")], arguments


@pytest.mark.parametrize("arguments", [[], ["pusch"], ["--verbose"]])
def test_what_is_no_command_is_a_fault_of_usage(shell: Shell, arguments: list[str]) -> None:
    ended = shell(*arguments)
    assert (ended.code, ended.stdout) == (2, "")
    assert "Usage: imagepusher" in ended.stderr


def test_the_schema_is_the_one_that_ships(shell: Shell) -> None:
    assert shell("schema").stdout == files("tasks").joinpath("schema.v1.json").read_text()


@pytest.mark.parametrize("form", ["file", "variable"])
def test_a_typo_in_the_settings_names_the_key_and_what_was_meant(shell: Shell, form: str) -> None:
    config = shell.write("config.toml", "[limits]\njobz = 3\n")
    if form == "file":
        ended = shell("--config", config, "status", "--output", "json")
        named = "limits.jobz is not a known key; did you mean jobs?"
        assert config in ended.stderr
    else:
        ended = shell("status", "--output", "json", settings={"IMAGEPUSHER_JOBZ": "3"})
        named = "IMAGEPUSHER_JOBZ is not a known variable; did you mean IMAGEPUSHER_JOBS?"
    assert (ended.code, error_of(ended)["code"]) == (2, "settings_invalid")
    assert named in ended.stderr


def test_settings_that_cannot_be_read_are_named(shell: Shell) -> None:
    for path, fault in (
        (str(shell.folder / "none.toml"), "none.toml cannot be read: No such file or directory"),
        (shell.write("bad.toml", "a = \n"), "line 1"),
    ):
        ended = shell("status", settings={"IMAGEPUSHER_CONFIG": path})
        assert ended.code == 2
        assert fault in ended.stderr


def test_a_state_folder_that_cannot_be_used_is_named_with_the_way_out(shell: Shell) -> None:
    file = shell.write("file", "")
    for folder in (file, f"{file}/below", "/proc/none"):
        ended = shell("status", "-o", "json", settings={"IMAGEPUSHER_STATE_DIR": folder})
        assert (ended.code, error_of(ended)["code"]) == (2, "settings_invalid")
        assert f"The state folder {folder} cannot be used: " in ended.stderr
        assert "IMAGEPUSHER_STATE_DIR" in ended.stderr


def test_a_damaged_ledger_is_named_with_the_way_out(shell: Shell) -> None:
    ledger = shell.folder / "state" / "ledger.sqlite3"
    ledger.parent.mkdir()
    ledger.write_text("no database, but long enough to be taken for one" * 100)
    ended = shell("status", "-o", "json")
    assert (ended.code, error_of(ended)["code"]) == (2, "settings_invalid")
    assert f"The ledger {ledger} is damaged (file is not a database): move it away" in ended.stderr


def test_a_state_folder_on_a_full_disk_is_told_and_the_same_push_completes_it(shell: Shell, multi_arch: Index) -> None:
    """Rule 6.5. A bound on the size of files stands for the disk: both refuse to let a file grow."""
    source, destination = shell.put_a(multi_arch), shell.destination()
    shell("status")
    arguments = command("copy", source, destination, "--push-id", "mine", "-o", "json")
    full = subprocess.run(
        ["bash", "-c", 'ulimit -f 36; exec "$@"', "bash", *arguments],
        env=uncovered(shell.settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ended = Ended(full.returncode, full.stdout, full.stderr)
    assert (ended.code, error_of(ended)["code"]) == (3, "state_folder_unusable")
    assert "IMAGEPUSHER_STATE_DIR" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert shell("copy", source, destination, "--push-id", "mine").code == 0


def test_without_a_home_the_state_is_kept_where_the_user_database_says(shell: Shell, multi_arch: Index) -> None:
    """A container often has no HOME, or one that cannot be written."""
    source, destination = shell.put_a(multi_arch), shell.destination()
    state = shell.folder / "xdg"
    surroundings = {key: value for key, value in environment({}).items() if key != "HOME"}
    done = subprocess.run(
        command("copy", source, destination, "-o", "json"),
        env=surroundings | {"XDG_STATE_HOME": str(state)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "succeeded"
    assert (state / "imagepusher").stat().st_mode & 0o777 == 0o700
    assert (state / "imagepusher" / "ledger.sqlite3").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("arguments", [["copy", "a.example/a:1", "b.example/b:1"], ["push", "-"]])
def test_nobody_would_do_the_work_without_broker_and_waiting(shell: Shell, arguments: list[str]) -> None:
    ended = shell(*arguments, "--no-wait", "--output", "json", stdin='{"items": []}')
    assert (ended.code, error_of(ended)["code"]) == (2, "usage")
    assert "--no-wait needs a broker" in ended.stderr


def test_a_worker_needs_a_broker_and_queues_that_exist(shell: Shell) -> None:
    ended = shell("worker")
    assert ended.code == 2
    assert "A worker needs a broker: set IMAGEPUSHER_BROKER_URL." in ended.stderr
    unknown = shell("worker", "--queues", "push,pull", settings={"IMAGEPUSHER_BROKER_URL": "redis://127.0.0.1:1/0"})
    assert unknown.code == 2
    assert "'pull' is not one of push, copy, publish" in unknown.stderr


def test_a_broker_that_is_not_there_is_told_without_its_password(shell: Shell) -> None:
    """Rule 6.7."""
    broker = {"IMAGEPUSHER_BROKER_URL": "redis://me:geheim@127.0.0.1:1/0"}
    ended = shell("copy", "a.example/a:1", "b.example/b:1", "--no-wait", "-o", "json", settings=broker)
    assert (ended.code, error_of(ended)["code"]) == (3, "state_unavailable")
    assert "geheim" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["copy", "a.example/a:1", "b.example/b:1"], ["copy", "--dry-run", "a.example/a:1", "b.example/b:1"]],
)
def test_a_broker_that_is_down_is_named_with_address_and_reason(shell: Shell, arguments: list[str]) -> None:
    """Rule 6.8."""
    port = free_port()
    ended = shell(*arguments, settings={"IMAGEPUSHER_BROKER_URL": f"redis://me:geheim@127.0.0.1:{port}/0"})
    assert ended.code == 3
    assert f"127.0.0.1:{port}/0" in ended.stderr
    assert "Connection refused" in ended.stderr
    assert "`imagepusher doctor`" in ended.stderr
    assert "geheim" not in ended.stderr


@pytest.mark.parametrize("form", ["before", "after", "debug", "variable"])
def test_each_request_is_shown_where_it_is_asked_for(
    shell: Shell, multi_arch: Index, make_registry: MakeRegistry, form: str
) -> None:
    """Rule 6.7: without what it must not show."""
    registry = make_registry(auth=BasicAuth({"me": "geheim"}))
    copy = ["copy", shell.put_a(multi_arch), f"{registry.host}/app:1", "--dest-creds", "me:geheim", "--quiet"]
    settings = {"IMAGEPUSHER_LOG_LEVEL": "debug"} if form == "variable" else {}
    arguments = {"before": ["-v", *copy], "after": [*copy, "-v"], "debug": [*copy, "--debug"], "variable": copy}[form]
    ended = shell(*arguments, settings=settings)
    assert ended.code == 0
    assert f"PUT {registry.host}/v2/app/manifests/1: 201 after " in ended.stderr
    assert f"GET {shell.a.host}/v2/{shell.name}/src/manifests/" in ended.stderr
    assert "geheim" not in ended.stderr
    quiet = shell(*copy)
    assert quiet.stderr == ""


@pytest.mark.parametrize("way", ["print('noise')", "os.write(1, b'noise')", "subprocess.run(['echo', 'noise'])"])
def test_what_a_plug_in_prints_does_not_spoil_the_result(shell: Shell, multi_arch: Index, way: str) -> None:
    """Stdout is for results."""
    plug_in(shell, f"import os, subprocess\ndef bad(event):\n    {way}\n")
    plugged = {"PYTHONPATH": str(shell.folder)}
    arguments = ["copy", shell.put_a(multi_arch), shell.destination(), "--quiet", "--output", "json"]
    ended = shell(*arguments, settings=plugged)
    assert (ended.code, actions(report_of(ended))) == (0, ["copied"])
    assert "noise" in ended.stderr


def plug_in(shell: Shell, text: str) -> None:
    """Install a plug-in `bad` that is called for each tag that moved."""
    shell.write("a_plugin.py", text)
    information = shell.folder / "a_plugin-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: a-plugin\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[imagepusher.tag_moved]\nbad = a_plugin:bad\n")


def test_what_a_plug_in_raises_is_told_without_its_secrets(shell: Shell, multi_arch: Index) -> None:
    """Rule 6.7."""
    raising = """
        def bad(event):
            raise RuntimeError("the answer was \\x1b[31m password=geheim redis://me:geheim@broker.example/0")
    """
    plug_in(shell, dedent(raising))
    plugged = {"PYTHONPATH": str(shell.folder)}
    ended = shell("copy", shell.put_a(multi_arch), shell.destination(), "--quiet", settings=plugged)
    assert ended.code == 0
    assert "A plug-in failed to take the event of" in ended.stderr
    assert "RuntimeError: the answer was \\x1b[31m password=*** redis://***@broker.example/0" in ended.stderr
    assert "geheim" not in ended.stderr


@pytest.mark.parametrize("arguments", [["status"], ["copy", "a.example/a:1", "b.example/b:1"]])
def test_a_wrong_password_of_redis_is_told_with_the_setting_that_holds_it(
    shell: Shell, redis_server: RedisServer, arguments: list[str]
) -> None:
    """Rule 6.7."""
    broker = {"IMAGEPUSHER_BROKER_URL": f"redis://me:geheim@127.0.0.1:{redis_server.port}/0"}
    ended = shell(*arguments, "-o", "json", settings=broker)
    assert (ended.code, error_of(ended)["code"]) == (3, "state_unavailable")
    assert "`broker.url`" in ended.stderr
    assert "user and password" in ended.stderr
    assert "geheim" not in ended.stdout + ended.stderr


def test_what_is_no_text_is_an_error_of_its_sender(shell: Shell) -> None:
    request = '{"push_id": "\\ud800", "items": [{"source": "x/a:1", "destinations": {"x/b": ["1"]}}]}'
    for ended in (shell("push", "-", stdin=request), shell("status", "\udcff")):
        assert ended.code == 2
        assert "lone surrogate" in ended.stderr
