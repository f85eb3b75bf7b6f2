"""A push without a broker whose command ended before it did: it is known to be interrupted, and how to complete it."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.acceptance.cli.conftest import Shell, actions, report_of
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Index, image, index, layer
from tests.support.processes import wait_until
from tests.support.terminal import Terminal
from tests.support.workers import command, environment


@pytest.fixture
def silent(shell: Shell) -> Iterator[FaultyProxy]:
    """Return a registry that sends half of each blob, and then nothing."""
    big: Index = index([image("linux/amd64", [layer(f"{shell.name}big", 3_000_000)])])
    shell.put_a(big)
    with FaultyProxy(shell.a.host, Chosen(Fault(Kind.STALL_ANSWER, "GET", "/blobs/", times=100, at=0.5))) as proxy:
        yield proxy


def copying(shell: Shell, proxy: FaultyProxy) -> list[str]:
    return command("copy", f"{proxy.host}/{shell.name}/src:1", shell.destination(), "--push-id", "mine", "--quiet")


def state_of(shell: Shell, push_id: str = "mine") -> str:
    state: str = shell("status", push_id, "-o", "json").document["progress"]["state"]
    return state


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_leaves_the_push_interrupted(shell: Shell, silent: FaultyProxy, number: signal.Signals) -> None:
    """Rule 7.8."""
    with subprocess.Popen(
        copying(shell, silent), env=environment(shell.settings), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        try:
            wait_until(lambda: bool(silent.injected), "the push never got to its copies")
            assert state_of(shell) == "copying"
            running.send_signal(number)
            _, stderr = running.communicate(timeout=30)
        finally:
            running.kill()
    if number is signal.SIGKILL:
        assert running.returncode == -number
    else:
        assert running.returncode == 130
        told = "Interrupted. The same command with --push-id mine completes what is missing."
        assert stderr.decode().splitlines() == [told]
    assert state_of(shell) == "interrupted"
    (row,) = shell("status").stdout.splitlines()[1:]
    assert row.split()[:2] == ["mine", "interrupted"]
    assert "imagepusher retry mine" in shell("status", "mine").stdout
    unfinished = shell("verify", "mine")
    assert unfinished.code == 2
    assert "interrupted" in unfinished.stderr


def test_a_closed_terminal_leaves_the_push_interrupted(shell: Shell, silent: FaultyProxy) -> None:
    """Rule 7.8."""
    arguments = [argument for argument in copying(shell, silent) if argument != "--quiet"]
    with Terminal(arguments, environment(shell.settings)) as terminal:
        terminal.wait_for("copying")
        terminal.close()
        assert terminal.process.wait(300) == 130
    assert state_of(shell) == "interrupted"


def test_nohup_keeps_the_push_going(shell: Shell, silent: FaultyProxy) -> None:
    with subprocess.Popen(["nohup", *copying(shell, silent)], env=environment(shell.settings)) as running:
        try:
            wait_until(lambda: bool(silent.injected), "the push never got to its copies")
            running.send_signal(signal.SIGHUP)
            # The signal has been delivered when the process takes the next one.
            os.kill(running.pid, signal.SIGCONT)
            assert running.poll() is None
            assert state_of(shell) == "copying"
        finally:
            running.kill()


def test_retry_completes_it(shell: Shell) -> None:
    """Rules 6.5 and 7.8."""
    shell.put_a(index([image("linux/amd64", [layer(f"{shell.name}big", 3_000_000)])]))
    with FaultyProxy(shell.a.host, Chosen(Fault(Kind.STALL_ANSWER, "GET", "/blobs/", times=1, at=0.5))) as proxy:
        with subprocess.Popen(copying(shell, proxy), env=environment(shell.settings)) as running:
            wait_until(lambda: bool(proxy.injected), "the push never got to its copies")
            running.kill()
        retried = shell("retry", "mine", "--output", "json")
    assert (retried.code, actions(report_of(retried))) == (0, ["copied"])
    assert state_of(shell) == "succeeded"
