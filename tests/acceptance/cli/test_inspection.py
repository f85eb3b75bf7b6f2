"""`status`, `verify` and `undo`: what is known of a push, whether it still holds, and how it is taken back."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import requests

from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.sqlite import FileHashes
from tests.acceptance.cli.conftest import Shell, actions, error_of, report_of
from tests.conftest import MakeRegistry
from tests.support import commands
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Image, Index, image, index, layer
from tests.support.processes import wait_until
from tests.support.registries import BasicAuth
from tests.support.stored import Stored
from tests.support.terminal import Terminal
from tests.support.workers import command, environment


@pytest.fixture
def pushed(shell: Shell, multi_arch: Index, single_arch: Image) -> str:
    """Push into a tag that held something, one that held nothing, and one whose source does not exist."""
    shell.put_b(index([single_arch]))
    request = shell.request(shell.put_a(multi_arch), shell.put_a(multi_arch, "2"), f"{shell.a.host}/gone:1")
    assert shell("push", "-", "--push-id", "mine", stdin=json.dumps(request)).code == 1
    return "mine"


def test_status_lists_pushes_the_newest_first(shell: Shell, pushed: str) -> None:
    assert shell("copy", f"{shell.a.host}/gone:1", shell.destination(), "--push-id", "later").code == 3
    listed = shell("status", "-o", "json").document
    assert [(push["push_id"], push["state"]) for push in listed] == [("later", "failed"), ("mine", "partial")]
    header, *rows = [line.split() for line in shell("status").stdout.splitlines() if line]
    assert header == ["Push", "State", "Tags", "Age", "Image"]
    assert (rows[0][-1], rows[1][-2:]) == (f"{shell.a.host}/gone:1", [f"{shell.a.host}/{shell.name}/src:1", "+2"])
    assert [row[:2] for row in rows] == [["later", "failed"], ["mine", "partial"]]


def test_status_of_a_push_has_its_progress_and_its_report(shell: Shell, pushed: str) -> None:
    """Rule 6.1."""
    document = shell("status", pushed, "--output", "json").document
    assert (document["progress"]["tags"], document["progress"]["tags_done"]) == (3, 3)
    assert actions(document["report"]) == ["merged", "copied", "failed"]
    shown = shell("status", pushed)
    assert shown.code == 0
    assert "Error [source_missing]" in shown.stdout
    assert " partial in " in shown.stdout.splitlines()[-1]


def test_status_counts_no_tag_that_failed_and_says_what_was_undone(shell: Shell, pushed: str) -> None:
    assert shell("copy", f"{shell.a.host}/gone:1", shell.destination(), "--push-id", "failed").code == 3
    assert shell("undo", pushed, "--yes").code == 0
    rows = [line for line in shell("status").stdout.splitlines()[1:] if line]
    assert re.match(r"failed +failed +0/1 +\d", rows[0])
    assert re.match(r"mine +undone +2/3 +\d", rows[1])


def test_status_tells_an_undo_that_failed_from_one_that_did_not(shell: Shell, single_arch: Image) -> None:
    source = shell.put_a(single_arch)
    for push_id, tags in (("none", ["1"]), ("some", ["2", "3"])):
        destinations = [shell.destination(tag) for tag in tags]
        assert shell("copy", source, *destinations, "--push-id", push_id).code == 0
        shell.put_b(image("linux/s390x", [layer(f"{shell.name} theirs", 10)]), tags[0])
        shell("undo", push_id, "--yes")
    rows = [line for line in shell("status").stdout.splitlines()[1:] if line]
    assert re.match(r"some +partly undone +2/2 +\d", rows[0])
    assert re.match(r"none +undo failed +1/1 +\d", rows[1])


def test_without_a_push_there_is_nothing_to_list(shell: Shell) -> None:
    assert shell("status").stdout == "No push is remembered.\n"
    assert shell("status", "-o", "json").document == []


@pytest.mark.parametrize("name", ["status", "verify", "undo"])
def test_a_push_that_nobody_knows_is_named(shell: Shell, name: str) -> None:
    ended = shell(name, "nob\x1body", "--output", "json")
    assert (ended.code, error_of(ended)["code"]) == (2, "push_unknown")
    assert r"'nob\x1body'" in ended.stderr
    assert "`imagepusher status` lists the pushes" in ended.stderr


def test_a_push_is_seen_from_another_process_while_it_runs(shell: Shell) -> None:
    """Two embedded pushes at once share one state folder."""
    slow = index([image("linux/amd64", [layer(f"{shell.name}slow", 2000)])])
    source = shell.put_a(slow).partition("/")[2]
    with FaultyProxy(shell.a.host, Chosen(Fault(Kind.STALL_ANSWER, "GET", "/blobs/", times=100))) as proxy:
        running = subprocess.Popen(
            command("copy", f"{proxy.host}/{source}", shell.destination("slow"), "--push-id", "slow", "--quiet"),
            env=environment(shell.settings),
        )
        try:
            wait_until(lambda: bool(proxy.injected), "the push never got to its copies")
            progress = shell("status", "slow", "-o", "json").document
            assert (progress["progress"]["state"], progress["report"]) == ("copying", None)
            quick = shell("copy", f"{shell.a.host}/{source}", shell.destination("quick"), "--push-id", "quick", "-q")
            assert quick.code == 0
            states = {push["push_id"]: push["state"] for push in shell("status", "-o", "json").document}
            assert states == {"quick": "succeeded", "slow": "copying"}
            unfinished = shell("verify", "slow")
            assert unfinished.code == 2
            assert "slow" in unfinished.stderr
        finally:
            running.kill()
            running.wait()


def test_what_is_as_reported_is_verified(shell: Shell, pushed: str) -> None:
    ended = shell("verify", pushed, "--output", "json")
    assert (ended.code, ended.document["state"]) == (0, "verified")
    assert [tag["reference"] for tag in ended.document["tags"]] == [shell.destination("1"), shell.destination("2")]
    shown = shell("verify", pushed)
    assert shown.stdout.splitlines()[-1] == "Push mine verified: 2 tags"


def test_what_someone_else_moved_or_deleted_is_broken(shell: Shell, pushed: str, single_arch: Image) -> None:
    shell.put_b(single_arch, "1")
    digest = shell.stored.digest(shell.repository, "2")
    (child, *_) = json.loads(shell.stored.manifest(shell.repository, str(digest))[2])["manifests"]
    url = f"{shell.b.url}/v2/{shell.repository}/manifests/{child['digest']}"
    assert requests.delete(url, timeout=30).status_code == 202
    ended = shell("verify", pushed, "--output", "json")
    moved, incomplete = ended.document["tags"]
    assert (ended.code, ended.document["state"]) == (1, "broken")
    assert (moved["found_digest"], moved["missing"]) == (single_arch.digest, [])
    assert (incomplete["found_digest"], incomplete["missing"]) == (digest, [child["digest"]])
    shown = shell("verify", pushed)
    assert child["digest"] in shown.stdout
    assert "Push mine broken: 2 tags" in shown.stdout


def test_a_push_of_which_nothing_succeeded_has_nothing_to_verify(shell: Shell) -> None:
    assert shell("copy", f"{shell.a.host}/gone:1", shell.destination(), "--push-id", "lost").code == 3
    ended = shell("verify", "lost")
    assert (ended.code, ended.stdout) == (0, "There is nothing to verify: no tag of push lost succeeded.\n")


def test_undo_puts_back_and_deletes(shell: Shell, multi_arch: Index, single_arch: Image) -> None:
    """Rule 6.6."""
    old = shell.put_b(index([single_arch]))
    source = shell.put_a(multi_arch)
    destinations = [shell.destination("1"), shell.destination("1", "new")]
    report_of(shell("copy", source, *destinations, "--push-id", "mine", "-o", "json"))
    ended = shell("undo", "mine", "--yes", "--output", "json")
    assert (ended.code, ended.document["state"]) == (0, "succeeded")
    assert [(tag["action"], tag["digest"]) for tag in ended.document["tags"]] == [("restored", old), ("deleted", None)]
    assert shell.digests() == {"1": old}
    assert shell.stored.tags(f"{shell.name}/new") == []
    again = shell("undo", "mine", "--yes")
    assert again.code == 0
    assert "Undo of push mine succeeded: 2 tags" in again.stdout


def test_undo_leaves_what_someone_else_has_moved(shell: Shell, pushed: str, single_arch: Image) -> None:
    """Rule 6.6: and the protective tag of what was there before."""
    protective = {tag: digest for tag, digest in shell.digests().items() if ".merged-" in tag}
    moved = shell.put_b(single_arch, "1")
    ended = shell("undo", pushed, "--yes", "--output", "json")
    assert (ended.code, ended.document["state"]) == (1, "partial")
    actions_of = {tag["reference"]: tag["action"] for tag in ended.document["tags"]}
    assert actions_of == {shell.destination("1"): "moved", shell.destination("2"): "deleted"}
    assert len(protective) == 1
    assert shell.digests() == {"1": moved} | protective
    told = shell("undo", pushed, "--yes").stdout
    assert f"`imagepusher history {shell.destination('1')}` lists the pushes that moved it. It is left alone." in told
    assert "Push again" not in told


def test_undo_leaves_what_another_tag_needs(shell: Shell, multi_arch: Index) -> None:
    """Rules 5.2 and 6.6: the registry can only delete the manifest, which the other tag's index names."""
    child = multi_arch.members[0]
    assert isinstance(child, Image)
    shell.put_b(multi_arch, "latest")
    report_of(shell("copy", shell.put_a(child), shell.destination("1-amd64"), "--push-id", "mine", "-o", "json"))
    ended = shell("undo", "mine", "--yes", "--output", "json")
    (tag,) = ended.document["tags"]
    assert (ended.code, tag["action"], tag["error"]["code"]) == (3, "failed", "request_refused")
    assert "is needed by latest." in tag["error"]["message"]
    assert shell.digests() == {"latest": multi_arch.digest, "1-amd64": child.digest}
    shell.stored.holds(shell.repository, "latest")


def test_pushes_are_undone_in_any_order(shell: Shell, multi_arch: Index, single_arch: Image) -> None:
    """Rules 4.8 and 6.6: the protective tag of what was moved over stays, for the other push to be undone."""
    old = shell.put_b(index([single_arch]))
    source = shell.put_a(multi_arch)
    report_of(shell("copy", source, shell.destination(), "--push-id", "first", "-o", "json"))
    between = shell.digests()
    later = shell("copy", source, shell.destination(), "--push-id", "second", "--kind", "source", "-o", "json")
    assert actions(report_of(later)) == ["copied"]
    assert shell("undo", "first", "--yes").code == 3
    assert shell("undo", "second", "--yes").code == 0
    assert shell.digests() == between
    assert shell("undo", "first", "--yes").code == 0
    assert shell.digests() == {"1": old}


def test_undo_asks_on_a_terminal_and_takes_no_for_an_answer(shell: Shell, pushed: str) -> None:
    before = shell.digests()
    with Terminal(command("undo", pushed), environment(shell.settings)) as terminal:
        terminal.wait_for("Put the tags of push mine back? [y/N]: ")
        terminal.type("n\n")
        assert terminal.wait() == 2
    assert "Nothing was changed." in terminal.text
    assert shell.digests() == before
    with Terminal(command("undo", pushed), environment(shell.settings)) as terminal:
        terminal.wait_for("[y/N]: ")
        terminal.type("y\n")
        assert terminal.wait() == 0
    assert shell.digests() != before


@pytest.mark.parametrize("typed", ["", "n\n", "y\n"])
def test_undo_without_a_terminal_needs_yes(shell: Shell, pushed: str, typed: str) -> None:
    """Rule 6.6: nothing is deleted that nobody asked for."""
    before = shell.digests()
    for arguments in (["undo", pushed], ["undo", pushed, "--output", "json"]):
        ended = shell(*arguments, stdin=typed)
        assert ended.code == 2
        assert "--yes" in ended.stderr
        assert "--dry-run" in ended.stderr
    assert error_of(ended)["code"] == "usage"
    assert shell.digests() == before


def test_undo_says_what_it_would_do(shell: Shell, pushed: str, single_arch: Image) -> None:
    """Rule 6.6."""
    planned = shell("undo", pushed, "--dry-run", "--output", "json").document
    assert [(tag["reference"], tag["action"]) for tag in planned["tags"]] == [
        (shell.destination("1"), "restored"),
        (shell.destination("2"), "deleted"),
    ]
    moved = shell.put_b(single_arch, "2")
    before = shell.digests()
    shown = shell("undo", pushed, "--dry-run")
    assert shown.code == 1
    assert shown.stdout.splitlines()[-1] == "Undo of push mine, nothing was changed: 1 to restore, 1 to leave"
    assert f"{shell.destination('2')} holds {moved}" in shown.stdout
    assert shell.digests() == before
    assert shell("status", pushed, "-o", "json").document["progress"]["state"] == "partial"
    assert "undone" not in shell("status").stdout


def test_undo_lists_the_tags_before_it_asks(shell: Shell, pushed: str) -> None:
    with Terminal(command("undo", pushed), environment(shell.settings | {"NO_COLOR": "1"}), columns=120) as terminal:
        terminal.wait_for("[y/N]: ")
        for verb, tag in (("restore", "1"), ("delete", "2")):
            assert re.search(rf"{re.escape(shell.destination(tag))} +{verb}", terminal.text)
        terminal.type("n\n")
        assert terminal.wait() == 2


def test_undo_of_a_registry_that_cannot_delete_says_so(
    shell: Shell, multi_arch: Index, make_registry: MakeRegistry
) -> None:
    registry = make_registry(delete=False)
    assert shell("copy", shell.put_a(multi_arch), f"{registry.host}/app:1", "--push-id", "mine").code == 0
    ended = shell("undo", "mine", "--yes", "-o", "json")
    (tag,) = ended.document["tags"]
    assert (ended.code, tag["action"], tag["error"]["code"]) == (3, "failed", "request_refused")
    assert Stored(registry.host).digest("app", "1") == multi_arch.digest


def test_a_password_is_asked_for_on_a_terminal_and_not_shown(
    shell: Shell, multi_arch: Index, make_registry: MakeRegistry
) -> None:
    registry = make_registry(auth=BasicAuth({"me": "geheim"}))
    arguments = ["copy", shell.put_a(multi_arch), f"{registry.host}/app:1", "--dest-creds", "me"]
    with Terminal(command(*arguments), environment(shell.settings)) as terminal:
        terminal.wait_for("Password of me at the destination: ")
        terminal.type("geheim\n")
        assert terminal.wait() == 0
    assert "geheim" not in terminal.text


def test_status_lists_the_newest_twenty_and_says_how_many_more_there_are(shell: Shell) -> None:
    with closing(FileHashes(shell.folder / "state" / "ledger.sqlite3", 3600)) as hashes:
        for number in range(200):
            ledger = HashLedger(hashes, clock=partial(float, time.time() - 60 * number))
            ledger.accept(f"p{number}", {"items": [{"source": f"a.example/{number}:1", "destinations": {}}]}, "task")
    _, *rows, empty, more = shell("status").stdout.splitlines()
    assert [row.split()[0] for row in rows] == [f"p{number}" for number in range(20)]
    assert (empty, more) == ("", "180 pushes more: --all lists them.")
    for arguments, shown in (
        (["--all"], 200),
        (["--limit", "3"], 3),
        (["--since", "10m"], 10),
        (["--all", "--state", "interrupted"], 200),
        (["--all", "--state", "failed", "--state", "succeeded"], 0),
    ):
        pushes = [line for line in shell("status", *arguments).stdout.splitlines() if re.match(r"p\d", line)]
        assert len(pushes) == shown, arguments
    assert len(shell("status", "-o", "json").document) == 200
    assert [push["source"] for push in shell("status", "-o", "json", "--limit", "1").document] == ["a.example/0:1"]
    assert shell("status", "--state", "failed").stdout == "No push is like that.\n"


@pytest.mark.parametrize(
    "arguments", [["--follow"], ["p", "--all"], ["p", "--state", "failed"], ["--since", "ago"], ["--state", "gone"]]
)
def test_status_refuses_options_that_do_not_fit(shell: Shell, arguments: list[str]) -> None:
    assert shell("status", *arguments).code == 2


@pytest.mark.parametrize("arguments", [["wait"], ["status", "--follow"]])
def test_the_outcome_of_a_push_is_the_exit_code_of_who_waits_for_it(
    shell: Shell, pushed: str, multi_arch: Index, arguments: list[str]
) -> None:
    """Rule 6.3."""
    assert shell("copy", shell.put_a(multi_arch), shell.destination("9"), "--push-id", "good").code == 0
    assert shell("copy", f"{shell.a.host}/gone:1", shell.destination("9"), "--push-id", "bad").code == 3
    assert [shell(*arguments, push_id).code for push_id in ("good", pushed, "bad", "nobody")] == [0, 1, 3, 2]
    waited = shell(*arguments, "good", "-o", "json")
    assert actions(report_of(waited)) == ["copied"]


def test_a_refused_request_is_known(shell: Shell) -> None:
    """Rule 1.2."""
    refused = shell("push", "-", "--push-id", "bad", stdin='{"items": []}')
    assert refused.code == 2
    assert re.search(r"^bad +refused ", shell("status").stdout, re.MULTILINE)
    shown = shell("status", "bad")
    assert shown.code == 0
    assert "Error [request_invalid]" in shown.stdout
    document = shell("status", "bad", "-o", "json").document
    assert (document["progress"]["state"], document["error"]["code"]) == ("refused", "request_invalid")
    waited = shell("wait", "bad", "-o", "json")
    assert (waited.code, error_of(waited)["code"]) == (2, "request_invalid")


def test_retry_sends_what_was_sent_before(shell: Shell, pushed: str, multi_arch: Index) -> None:
    """Rule 6.5."""
    retried = shell("retry", pushed, "-o", "json")
    assert (retried.code, actions(report_of(retried))) == (1, ["unchanged", "unchanged", "failed"])
    assert shell("retry", "nobody").code == 2


def test_a_summary_is_appended_to_a_file(shell: Shell, multi_arch: Index) -> None:
    summary = shell.write("summary.md", "# Job\n\n")
    arguments = [shell.put_a(multi_arch), shell.destination(), "--push-id", "mine", "--summary", summary]
    assert shell("copy", *arguments).code == 0
    text = (shell.folder / "summary.md").read_text()
    assert text.startswith("# Job\n\n## Push mine succeeded\n")
    assert f"| {shell.destination()} | copied | none | `{multi_arch.digest[7:19]}` |" in text


def test_a_summary_that_cannot_be_written_is_told_before_anything_is_pushed(shell: Shell, multi_arch: Index) -> None:
    missing = str(shell.folder / "none" / "summary.md")
    ended = shell("copy", shell.put_a(multi_arch), shell.destination(), "--summary", missing)
    assert ended.code == 2
    assert f"{missing}: No such file or directory" in ended.stderr
    assert shell.digests() == {}


@pytest.mark.parametrize("form", [["--config", "{}", "status"], ["status", "--config", "{}"]])
def test_the_settings_file_may_be_named_before_and_after_the_command(shell: Shell, form: list[str]) -> None:
    path = shell.write("other.toml", f'state_dir = "{shell.folder}/other"')
    plain = {"IMAGEPUSHER_STATE_DIR": ""}
    ended = commands.run(*[word.format(path) for word in form], settings={**shell.settings, **plain})
    assert ended.code == 0, ended.stderr
    assert (shell.folder / "other").is_dir()


@pytest.mark.parametrize(("shell_name", "word"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete ")])
def test_completion_is_printed_for_each_shell(shell: Shell, shell_name: str, word: str) -> None:
    ended = shell("completion", shell_name)
    assert ended.code == 0
    assert word in ended.stdout
    assert "imagepusher" in ended.stdout


def test_push_ids_are_completed(shell: Shell, pushed: str) -> None:
    words = {"COMP_WORDS": "imagepusher undo mi", "COMP_CWORD": "2"}
    code = "from workers.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(shell.settings) | words | {"_IMAGEPUSHER_COMPLETE": "bash_complete"},
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode().split() == ["plain,mine"]


# How each shell is started without the settings of whoever runs the suite, and what it is told.
_SHELLS: Final = {
    "bash": (["--noprofile", "--norc", "-i"], 'eval "$(imagepusher completion bash)"; echo told=$?'),
    "zsh": (["-f", "-i"], 'autoload -U compinit; compinit -u -D; eval "$(imagepusher completion zsh)"; echo told=$?'),
    "fish": (["--no-config", "--interactive"], "imagepusher completion fish | source; echo told=$status"),
}


@pytest.mark.parametrize("name", [each for each in _SHELLS if shutil.which(each) is not None])
def test_a_shell_completes_a_command_an_option_and_a_push_id(shell: Shell, pushed: str, name: str) -> None:
    options, told = _SHELLS[name]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with Terminal([name, *options], {**environment(shell.settings), "PATH": path}) as terminal:
        terminal.type(f"{told}\n")
        terminal.wait_for("told=0")
        for typed, completed in (
            ("imagepusher und", "undo"),
            ("--dry", "--dry-run"),
            (pushed[:2], pushed),
        ):
            terminal.type(f"{typed}\t")
            terminal.wait_for(completed)
