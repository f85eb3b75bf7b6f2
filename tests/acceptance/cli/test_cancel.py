"""`cancel`: a push under way stops, tags that have not moved stay, and the same push completes later."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.cli.conftest import Shell, actions, error_of, faults, report_of
from tests.support.commands import Ended
from tests.support.delaying_proxy import DelayingProxy
from tests.support.images import image, index, layer
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer
from tests.support.workers import command, environment
from workers.people import this_person

LAYERS = 100


@contextmanager
def under_way(shell: Shell) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a push of many layers from a registry that is far away, and yield it when it copies."""
    shell.put_a(index([image("linux/amd64", [layer(f"{shell.name}{number}", 2000) for number in range(LAYERS)])]))
    with DelayingProxy(shell.a.host, 100) as proxy:
        arguments = ["copy", f"{proxy.host}/{shell.name}/src:1", shell.destination(), "--push-id", "mine"]
        options = ["--jobs", "1", "--quiet", "--output", "json"]
        with subprocess.Popen(
            command(*arguments, *options), env=environment(shell.settings), stdout=subprocess.PIPE
        ) as running:
            try:
                wait_until(lambda: copied_bytes(shell) > 0, "the push never copied anything")
                yield running
            finally:
                running.kill()


def copied_bytes(shell: Shell) -> int:
    """Return how many bytes the push has moved, as others see it."""
    ended = shell("status", "mine", "-o", "json")
    copies = ended.document["progress"]["copies"] if ended.code == 0 else []
    return sum(copy["done"] for copy in copies)


def test_a_push_that_is_cancelled_stops_and_moves_no_tag(shell: Shell) -> None:
    with under_way(shell) as running:
        cancelled = shell("cancel", "mine", "-o", "json")
        stdout, _ = running.communicate(timeout=300)
        retried = shell("retry", "mine", "-o", "json")
    report = report_of(Ended(running.returncode, stdout.decode(), ""))
    assert (running.returncode, actions(report), faults(report)) == (3, ["failed"], ["cancelled_by_user"])
    assert report["totals"]["blobs_copied"] < LAYERS
    assert (cancelled.code, report_of(cancelled)) == (0, report)
    assert (retried.code, actions(report_of(retried))) == (0, ["copied"])
    assert "`imagepusher retry mine` completes it" in report["items"][0]["error"]["message"]
    assert shell("status").stdout.splitlines()[1].split()[:2] == ["mine", "succeeded"]
    assert shell("undo", "mine", "--yes").code == 0
    acts = shell("status", "mine", "-o", "json").document["interventions"]
    assert [(each["action"], each["user"], each["outcome"]) for each in acts] == [
        ("cancel", this_person(), "told to stop"),
        ("retry", this_person(), "sent again"),
        ("undo", this_person(), "1 deleted"),
    ]
    shown = shell("status", "mine").stdout
    assert re.search(rf"^undo by {re.escape(this_person())}, .* ago: 1 deleted$", shown, re.MULTILINE)


def test_a_cancelled_push_is_told_from_one_that_failed(shell: Shell) -> None:
    with under_way(shell) as running:
        assert shell("cancel", "mine", "--quiet").code == 0
        running.communicate(timeout=300)
    assert shell.digests() == {}
    for options in ([], ["--state", "cancelled"]):
        assert shell("status", *options).stdout.splitlines()[1].split()[:2] == ["mine", "cancelled"]
    assert shell("status", "--state", "failed").stdout == "No push is like that.\n"
    assert [push["called_off"] for push in shell("status", "-o", "json").document] == ["cancelled"]


def test_a_push_that_ended_cannot_be_cancelled(shell: Shell) -> None:
    source = shell.put_a(index([image("linux/amd64", [layer(shell.name, 100)])]))
    assert shell("copy", source, shell.destination(), "--push-id", "mine").code == 0
    ended = shell("cancel", "mine")
    assert ended.code == 2
    assert "imagepusher undo mine" in ended.stderr
    assert shell("cancel", "nobody").code == 2


def test_a_push_that_no_worker_has_taken_is_cancelled_when_one_does(shell: Shell) -> None:
    with RedisServer() as server:
        broker = {"IMAGEPUSHER_BROKER_URL": server.url}
        arguments = ["copy", "a.example/a:1", "b.example/b:1", "--push-id", "mine", "--no-wait"]
        assert shell(*arguments, settings=broker).code == 0
        assert shell("cancel", "mine", "--no-wait", settings=broker).code == 0
        with subprocess.Popen(
            command("worker", "--concurrency", "1"),
            env=environment(shell.settings | broker),
            stderr=subprocess.DEVNULL,
        ) as worker:
            try:
                waited = shell("wait", "mine", "-o", "json", settings=broker)
            finally:
                worker.kill()
    assert (waited.code, faults(report_of(waited))) == (3, ["cancelled_by_user"])


def test_cancelling_an_unknown_push_is_an_error_in_json(shell: Shell) -> None:
    assert error_of(shell("cancel", "nobody", "-o", "json"))["code"] == "push_unknown"
    assert json.loads(shell("status", "-o", "json").stdout) == []


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ('actions = ["push"]', 3),
        ('actions = ["cancel"]\ndestinations = ["other.example/*"]', 3),
        ('actions = ["cancel"]', 0),
    ],
)
def test_a_rule_says_who_may_cancel(shell: Shell, tmp_path: Path, rule: str, code: int) -> None:
    """T14: by the settings of the command; who has the workers' key is no producer."""
    with RedisServer() as server:
        broker = {"IMAGEPUSHER_BROKER_URL": server.url}
        arguments = ["copy", "a.example/a:1", "b.example/b:1", "--push-id", "mine", "--no-wait"]
        assert shell(*arguments, settings=broker).code == 0
        for who, ends in (('producer = "team"', code), ('key = "the key of all workers"', 0)):
            settings = tmp_path / "settings.toml"
            settings.write_text(
                f'[broker]\n{who}\n[producers.team]\nkey = "the key of the team"\n[policy.some]\n{rule}\n'
            )
            settings.chmod(0o600)
            ended = shell("--config", str(settings), "cancel", "mine", "--no-wait", "-o", "json", settings=broker)
            assert ended.code == ends, ended.stderr
            if ends:
                assert error_of(ended)["code"] == "not_permitted"
                assert "[policy.some]" in error_of(ended)["message"]
