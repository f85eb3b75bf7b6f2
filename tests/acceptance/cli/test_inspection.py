"""`status`, `verify` and `undo`: what is known of a push, whether it still holds, and how it is taken back."""

import json
import re
import subprocess

import pytest
import requests

from tests.acceptance.cli.conftest import Shell, actions, error_of, report_of
from tests.conftest import MakeRegistry
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
    assert header[:3] == ["Push", "State", "Started"]
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
    assert [line.split("  ")[-1].strip() for line in rows] == ["0 of 1", "2 of 3"]
    assert re.match(r"failed +failed +\d", rows[0])
    assert re.match(r"mine +partial, undone +\d", rows[1])


def test_status_tells_an_undo_that_failed_from_one_that_did_not(shell: Shell, single_arch: Image) -> None:
    source = shell.put_a(single_arch)
    for push_id, tags in (("none", ["1"]), ("some", ["2", "3"])):
        destinations = [shell.destination(tag) for tag in tags]
        assert shell("copy", source, *destinations, "--push-id", push_id).code == 0
        shell.put_b(image("linux/s390x", [layer(f"{shell.name} theirs", 10)]), tags[0])
        shell("undo", push_id, "--yes")
    rows = [line for line in shell("status").stdout.splitlines()[1:] if line]
    assert re.match(r"some +succeeded, partly undone +\d", rows[0])
    assert re.match(r"none +succeeded, undo failed +\d", rows[1])


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
    assert "is left alone" in shell("undo", pushed, "--yes").stdout


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
