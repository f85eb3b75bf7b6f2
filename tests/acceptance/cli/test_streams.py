"""What goes where: results to stdout, all else to stderr; bars on a terminal, lines elsewhere; Ctrl-C; closed pipes."""

import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.acceptance.cli.conftest import Shell, actions, error_of, report_of
from tests.support.commands import Ended
from tests.support.delaying_proxy import DelayingProxy
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Index, image, index, layer
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer
from tests.support.terminal import Terminal
from tests.support.workers import command, environment

ESCAPE = "\x1b"


def stalling(times: int) -> Chosen:
    """Let the first readers of blobs wait half-way."""
    return Chosen(Fault(Kind.STALL_ANSWER, "GET", "/blobs/", times=times, at=0.5))


@pytest.fixture
def big(name: str) -> Index:
    """Return an index, since the config of a lone image is a blob that is read before anything is copied."""
    return index([image("linux/amd64", [layer(f"{name}big", 3_000_000)])])


@pytest.fixture
def impatient(shell: Shell) -> dict[str, str]:
    """Return settings that wait a second for a registry that has gone silent, and ask it again."""
    return shell.settings | {"IMAGEPUSHER_CONFIG": shell.write("impatient.toml", "http.idle_timeout = 1.0\n")}


def test_json_is_alone_on_stdout(shell: Shell, multi_arch: Index) -> None:
    source = shell.put_a(multi_arch)
    ended = shell("copy", source, shell.destination(), "--output", "json")
    report = report_of(ended)
    assert ended.stdout.startswith("{\n")
    assert f"Push {report['push_id']} succeeded: " in ended.stderr
    for arguments in (
        ["status"],
        ["status", report["push_id"]],
        ["verify", report["push_id"]],
        ["undo", report["push_id"], "--yes"],
    ):
        after = shell(*arguments, "--output", "json")
        assert (after.code, after.stderr) == (0, "")
        assert after.document


def test_every_error_is_one_json_document_too(shell: Shell) -> None:
    for arguments, code in (
        (["status", "none"], "push_unknown"),
        (["push", "none"], "usage"),
        (["copy", "a"], "usage"),
        (["copy", "--none", "a", "b"], "usage"),
        (["copy", "a:1", "b"], "request_invalid"),
    ):
        ended = shell(*arguments, "-o", "json")
        assert (ended.code, error_of(ended)["code"]) == (2, code)
        assert "Error" in ended.stderr


def test_quiet_says_nothing_beside_the_result(shell: Shell, multi_arch: Index) -> None:
    ended = shell("copy", "--quiet", shell.put_a(multi_arch), shell.destination())
    assert (ended.code, ended.stderr) == (0, "")
    assert " succeeded in " in ended.stdout


class Gate:
    """Let requests for the first blob pass, and all other ones wait until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self._asked = 0

    def choose(self, method: str, target: str, *, authorized: bool) -> None:
        del authorized
        if method == "GET" and "/blobs/" in target:
            self._asked += 1
            if self._asked > 1:
                self.opened.wait(300)


def test_progress_without_a_terminal_is_lines(shell: Shell) -> None:
    layers = [layer(f"{shell.name}{number}", 1_000_000) for number in range(3)]
    shell.put_a(index([image("linux/amd64", layers)]))
    gate = Gate()
    line = re.compile(r"Push slow: \d of 1 copies, [\d.]+ \w+ of [\d.]+ \w+, \d of 1 tag")
    with FaultyProxy(shell.a.host, gate) as proxy:
        arguments = [
            "copy",
            f"{proxy.host}/{shell.name}/src:1",
            shell.destination(),
            "--push-id",
            "slow",
            "--jobs",
            "1",
        ]
        with subprocess.Popen(
            command(*arguments),
            env=environment(shell.settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stderr is not None
            lines: list[str] = []
            for text in running.stderr:
                lines.append(text.rstrip("\n"))
                if line.match(text):
                    gate.opened.set()
            assert running.stdout is not None
            shown = running.stdout.read()
    assert running.returncode == 0, lines
    assert gate.opened.is_set(), lines
    assert all(text.startswith("Push slow") for text in lines), lines
    assert re.fullmatch(r"Push slow succeeded: 2\.9 MiB copied in \d+\.\d s", lines[-1])
    assert ESCAPE not in shown + "".join(lines)


def test_progress_on_a_terminal_is_bars_with_bytes(shell: Shell) -> None:
    layers = [layer(f"{shell.name}{number}", 300_000) for number in range(10)]
    shell.put_a(index([image("linux/amd64", layers)]))
    with DelayingProxy(shell.a.host, 60) as proxy:
        arguments = [
            "copy",
            f"{proxy.host}/{shell.name}/src:1",
            shell.destination(),
            "--push-id",
            "slow",
            "--jobs",
            "1",
        ]
        with Terminal(command(*arguments), environment(shell.settings)) as terminal:
            code = terminal.wait()
    shown = terminal.text
    assert code == 0, shown[-1000:]
    assert "Push slow\r\n" in shown
    assert re.search(r"linux/amd64 +━+", shown)
    assert re.search(r"[\d.]+ \w+ of 2\.9 MiB", shown)
    assert "copying: 0 of 1 copy, 0 of 1 tag" in shown
    assert f"{ESCAPE}[?25h" in terminal.shown, "the cursor is shown again"
    result = shown[shown.rindex("Image") :]
    assert re.search(rf"{re.escape(shell.destination())} +copied", result)


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_what_no_worker_takes_says_so_on_a_terminal(shell: Shell, flags: list[str]) -> None:
    arguments = ["copy", "a.example/a:1", "b.example/b:1", *flags]
    with RedisServer() as server:
        settings = environment(shell.settings | {"IMAGEPUSHER_BROKER_URL": server.url})
        with Terminal(command(*arguments), settings) as terminal:
            terminal.wait_for("waits for a worker of imagepusher.push (imagepusher doctor tells more)")
            terminal.type("\x03")
            assert terminal.wait() == 130


def test_a_narrow_terminal_shows_one_thing_below_the_other(shell: Shell, multi_arch: Index) -> None:
    arguments = ["copy", "--quiet", shell.put_a(multi_arch), shell.destination()]
    with Terminal(command(*arguments), environment(shell.settings | {"NO_COLOR": "1"}), columns=50) as terminal:
        assert terminal.wait() == 0
    lines = [line.rstrip() for line in terminal.text.splitlines()]
    assert f"  {shell.destination()}" in "\n".join(lines)
    assert "    action   copied" in lines
    assert max(map(len, lines)) <= 50


def interrupted(shell: Shell, proxy: FaultyProxy, *flags: str) -> Ended:
    """Start a copy, press Ctrl-C as a shell would while it waits for its source, and return how it ended."""
    arguments = ["copy", f"{proxy.host}/{shell.name}/src:1", shell.destination(), "--push-id", "mine", *flags]
    # No registry that says nothing is given up before the test is.
    patient = {"IMAGEPUSHER_CONFIG": shell.write("patient.toml", "http.idle_timeout = 3600\n")}
    with subprocess.Popen(
        command(*arguments),
        env=environment(shell.settings | patient),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        try:
            wait_until(lambda: bool(proxy.injected), "the push never got to its copies")
            running.send_signal(signal.SIGINT)
            stdout, stderr = running.communicate(timeout=300)
        finally:
            running.kill()
    return Ended(running.returncode, stdout.decode(), stderr.decode())


def test_ctrl_c_ends_at_once_and_says_how_to_go_on(shell: Shell, big: Index) -> None:
    """Rule 6.5."""
    shell.put_a(big)
    with FaultyProxy(shell.a.host, stalling(1)) as proxy:
        ended = interrupted(shell, proxy)
        assert (ended.code, ended.stdout) == (130, "")
        told = "Interrupted. The same command with --push-id mine completes what is missing."
        assert ended.stderr.splitlines()[-1] == told
        assert "Traceback" not in ended.stderr
        assert shell.digests() == {}
        arguments = ["copy", f"{proxy.host}/{shell.name}/src:1", shell.destination(), "--push-id", "mine"]
        again = shell(*arguments, "--output", "json")
    assert (again.code, actions(report_of(again))) == (0, ["copied"])
    assert shell.digests() == {"1": big.digest}


def test_ctrl_c_is_an_error_in_json_too(shell: Shell, big: Index) -> None:
    shell.put_a(big)
    with FaultyProxy(shell.a.host, stalling(100)) as proxy:
        ended = interrupted(shell, proxy, "--output", "json")
    assert (ended.code, error_of(ended)["code"]) == (130, "interrupted")


def test_ctrl_c_leaves_a_push_that_workers_do_alone(shell: Shell, redis_server: RedisServer) -> None:
    """Nobody serves this database of the broker: the command waits, and the push stays enqueued."""
    settings = {"IMAGEPUSHER_BROKER_URL": f"{redis_server.url.removesuffix('/0')}/9"}
    push_id = f"p{shell.name}"
    arguments = ["copy", "a.example/a:1", "b.example/b:1", "--push-id", push_id]
    with subprocess.Popen(
        command(*arguments), env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        try:
            wait_until(lambda: push_id in shell("status", settings=settings).stdout, "the push was never enqueued")
            running.send_signal(signal.SIGINT)
            stdout, stderr = running.communicate(timeout=300)
        finally:
            running.kill()
    assert (running.returncode, stdout) == (130, b"")
    told = f"Interrupted. The push goes on: imagepusher status {push_id} shows how far it is."
    assert stderr.decode().splitlines()[-1] == told
    assert push_id in shell("status", settings=settings).stdout


def test_ctrl_c_leaves_an_undo_that_workers_do_alone(shell: Shell, redis_server: RedisServer) -> None:
    """Nobody serves this database of the broker: the undo waits, and is recorded."""
    settings = {"IMAGEPUSHER_BROKER_URL": f"{redis_server.url.removesuffix('/0')}/9"}
    push_id = f"u{shell.name}"
    sent = shell("copy", "a.example/a:1", "b.example/b:1", "--push-id", push_id, "--no-wait", settings=settings)
    assert sent.code == 0

    def acts() -> list[tuple[str, str]]:
        recorded = shell("status", push_id, "-o", "json", settings=settings).document["interventions"]
        return [(act["action"], act["outcome"]) for act in recorded]

    with subprocess.Popen(
        command("undo", push_id, "--yes"), env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        try:
            wait_until(lambda: acts() == [("undo", "")], "the undo was never recorded")
            running.send_signal(signal.SIGINT)
            stdout, stderr = running.communicate(timeout=300)
        finally:
            running.kill()
    assert (running.returncode, stdout) == (130, b"")
    assert f"The workers carry it out all the same. imagepusher status {push_id} shows" in stderr.decode()


def test_ctrl_c_on_a_terminal_takes_the_bars_away(shell: Shell, big: Index) -> None:
    shell.put_a(big)
    with FaultyProxy(shell.a.host, stalling(100)) as proxy:
        arguments = ["copy", f"{proxy.host}/{shell.name}/src:1", shell.destination()]
        with Terminal(command(*arguments), environment(shell.settings)) as terminal:
            terminal.wait_for("copying")
            terminal.type("\x03")
            assert terminal.wait() == 130
    assert terminal.shown.index(f"{ESCAPE}[?25h") < terminal.shown.index("Interrupted. The same command")
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize("arguments", [["schema"], ["status"]])
def test_a_reader_that_went_away_is_no_error(shell: Shell, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command(*arguments), env=environment(shell.settings), stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_push_whose_stderr_nobody_reads_is_done_all_the_same(shell: Shell, multi_arch: Index) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = command("copy", shell.put_a(multi_arch), shell.destination(), "-o", "json")
    try:
        done = subprocess.run(
            arguments, env=environment(shell.settings), stdout=subprocess.PIPE, stderr=writer, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, shell.digests()) == (0, {"1": multi_arch.digest})
    assert actions(report_of(Ended(0, done.stdout.decode(), ""))) == ["copied"]


def test_a_full_disk_is_told(shell: Shell, multi_arch: Index) -> None:
    arguments = command("copy", shell.put_a(multi_arch), shell.destination())
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            arguments, env=environment(shell.settings), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert b"The result cannot be written to stdout: No space left on device." in done.stderr
    assert b"Traceback" not in done.stderr
    assert shell.digests() == {"1": multi_arch.digest}


@pytest.mark.parametrize(
    ("closed", "code"), [("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)], ids=["in", "out", "err", "all"]
)
def test_closed_streams_are_no_error(shell: Shell, multi_arch: Index, closed: str, code: int) -> None:
    arguments = command("copy", shell.put_a(multi_arch), shell.destination())
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *arguments],
        env=environment(shell.settings),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, shell.digests()) == (code, {"1": multi_arch.digest})
    assert b"Traceback" not in done.stderr


def test_a_request_from_a_closed_stdin_is_empty(shell: Shell) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command("push", "-")],
        env=environment(shell.settings),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"stdin is empty: it must hold a request" in done.stderr


def test_a_terminal_without_unicode_gets_what_it_can_show(shell: Shell, multi_arch: Index) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    ended = shell("copy", shell.put_a(multi_arch), shell.destination(), settings=plain)
    assert ended.code == 0
    assert f"new          ? {multi_arch.digest[7:19]}" in ended.stdout
