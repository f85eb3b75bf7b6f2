"""Commands that guard tags and tell of them (BEHAVIOUR 10.2 to 10.7), as a user types them."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.acceptance.cli.conftest import Shell, actions, error_of, faults, report_of
from tests.support.images import Index, image, index, layer
from workers.ledger import open_ledger
from workers.people import this_person
from workers.settings import load_settings


def versioned(version: str) -> Index:
    labels = {"config": {"Labels": {"org.opencontainers.image.version": version}}}
    return index([image("linux/amd64", [layer(version, 500)], config=labels)])


def image_of(version: str, created: str) -> Index:
    labels = {"Labels": {"org.opencontainers.image.version": version}}
    return index([image("linux/amd64", [layer(version, 500)], config={"created": created, "config": labels})])


def test_flags_of_copy_guard_a_tag(shell: Shell, multi_arch: Index) -> None:
    """Rules 10.2 to 10.4."""
    source = shell.put_a(multi_arch, "main")
    held = shell.put_b(versioned("2.0"))
    for flags, code in (
        (["--no-clobber"], "expectation_failed"),
        (["--expect", "1=absent"], "expectation_failed"),
        (["--require-platform", "linux/riscv64"], "platform_missing"),
        (["--forward-only"], "version_unknown"),
    ):
        ended = shell("copy", *flags, source, shell.destination(), "-o", "json")
        assert (ended.code, faults(report_of(ended))) == (3, [code]), flags
    single = shell.put_a(index([image("linux/s390x")]), "other")
    removing = shell("copy", "--refuse-platform-removal", "--no-merge", single, shell.destination(), "-o", "json")
    assert faults(report_of(removing)) == ["platform_removal_refused"]
    assert shell.digests() == {"1": held}
    older = shell("copy", "--forward-only", shell.put_a(versioned("1.9"), "1.9"), shell.destination(), "-o", "json")
    assert (older.code, actions(report_of(older))) == (0, ["skipped"])
    expected = shell("copy", "--expect", f"1={held}", source, shell.destination(), "-o", "json")
    assert (expected.code, actions(report_of(expected))) == (0, ["copied"])


def test_a_tag_goes_forward_by_version_or_by_creation_time(shell: Shell) -> None:
    """Rule 10.4: the flag alone means the version, and takes no image for its value."""
    backport = image_of("1.9", "2026-03-01T00:00:00Z")
    shell.put_b(image_of("2.0", "2026-02-01T00:00:00Z"))
    source = shell.put_a(backport, "1.9")
    for flags, action in (
        (["--forward-only"], "skipped"),
        (["--forward-only", "version"], "skipped"),
        (["--forward-only=created"], "copied"),
    ):
        ended = shell("copy", *flags, source, shell.destination(), "-o", "json")
        assert (ended.code, actions(report_of(ended))) == (0, [action]), flags
    older = shell.put_a(image_of("3.0", "2026-01-01T00:00:00Z"), "3.0")
    ended = shell("copy", source, shell.destination("2"), "--forward-only")
    assert ended.code == 0
    ended = shell("copy", "--forward-only", "created", older, shell.destination(), "-o", "json")
    assert (ended.code, actions(report_of(ended))) == (0, ["skipped"])
    assert shell("copy", "--forward-only=newest", source, shell.destination()).code == 2


def test_an_expectation_that_is_none_is_refused(shell: Shell, multi_arch: Index) -> None:
    """Rule 1.2."""
    source = shell.put_a(multi_arch)
    for said in ("1", "1=latest", "2=absent"):
        ended = shell("copy", "--expect", said, source, shell.destination(), "-o", "json")
        assert (ended.code, error_of(ended)["code"]) == (2, "request_invalid"), said


def test_a_hold_is_listed_told_and_released(shell: Shell, multi_arch: Index) -> None:
    """Rule 10.5."""
    source, name = shell.put_a(multi_arch), shell.destination()
    assert shell("hold", f"docker://{name}", "--why", "audit 7").code == 0
    (hold,) = json.loads(shell("holds", "-o", "json").stdout)
    assert (hold["reference"], hold["why"], hold["by"]) == (name, "audit 7", this_person())
    assert f"audit 7 ({this_person()})" in shell("holds").stdout
    preview = shell("copy", "--dry-run", source, name)
    assert (preview.code, "tag_held" in preview.stdout, "audit 7" in preview.stdout) == (3, True, True)
    refused = shell("copy", source, name, "-o", "json")
    assert (refused.code, faults(report_of(refused))) == (3, ["tag_held"])
    assert f"`imagepusher release-hold {name}`" in refused.stdout
    assert shell.digests() == {}
    assert shell("release-hold", name).code == 0
    assert shell("release-hold", name).code == 2
    with open_ledger(load_settings(shell.settings)) as ledger:
        acts = [(each.action, each.user, each.outcome) for each in ledger.tag_interventions(name)]
    assert acts == [
        ("hold", this_person(), "on hold: audit 7"),
        ("release-hold", this_person(), "released, was on hold: audit 7"),
    ]
    assert shell("copy", source, name).code == 0


def test_a_rule_says_who_may_put_a_tag_on_hold(shell: Shell, tmp_path: Path) -> None:
    """T14: the action `hold`, for the command that sets a hold and for the one that releases it."""
    name, other = shell.destination(), f"{shell.destination()}-other"
    settings = tmp_path / "settings.toml"
    keys = '[broker]\nkey = "the key of all workers"\n[producers.team]\nkey = "the key of the team"\n'
    as_team = keys.replace('key = "the key of all workers"', 'producer = "team"')
    for text, tag, code in (
        (as_team + '[policy.tags]\nactions = ["hold"]\nproducers = ["team"]\ndestinations = ["*:1"]\n', name, 0),
        (as_team + '[policy.tags]\nactions = ["hold"]\nproducers = ["team"]\ndestinations = ["*:1"]\n', other, 3),
        (as_team + '[policy.tags]\nactions = ["push", "undo", "retry"]\n', name, 3),
        # Who has the workers' key is no producer.
        (keys + '[policy.tags]\nactions = ["push"]\n', name, 0),
        (as_team, other, 0),
    ):
        settings.write_text(text)
        settings.chmod(0o600)
        for command in (("hold", tag, "--why", "audit 7"), ("release-hold", tag)):
            ended = shell("--config", str(settings), *command, "-o", "json")
            assert ended.code == code, (text, command, ended.stderr)
            if code:
                assert error_of(ended)["code"] == "not_permitted"
                assert "[policy.tags]" in error_of(ended)["message"]


def test_an_undo_leaves_a_tag_on_hold_alone(shell: Shell, multi_arch: Index) -> None:
    """Rule 10.5."""
    held = shell.put_b(versioned("1"))
    shell("copy", "--push-id", "held", "--no-merge", shell.put_a(multi_arch), shell.destination())
    shell("hold", shell.destination(), "--why", "audit 7")
    undone = shell("undo", "--yes", "held", "-o", "json")
    (tag,) = json.loads(undone.stdout)["tags"]
    assert (undone.code, tag["action"], tag["error"]["code"]) == (3, "failed", "tag_held")
    shell("release-hold", shell.destination())
    assert shell("undo", "--yes", "held").code == 0
    assert shell.digests() == {"1": held}


def test_the_history_of_a_tag(shell: Shell, multi_arch: Index) -> None:
    """Rule 10.6."""
    name = shell.destination()
    assert "No push is remembered" in shell("history", name).stdout
    source = shell.put_a(multi_arch)
    shell("copy", "--push-id", "first", source, name)
    foreign = shell.put_b(versioned("theirs"))
    shell("copy", "--push-id", "second", "--no-merge", source, name)
    shell("undo", "--yes", "second")
    history = json.loads(shell("history", name, "-o", "json").stdout)
    assert [(move["push_id"], move["old_digest"], move["undone"] is None) for move in history["moves"]] == [
        ("second", foreign, False),
        ("first", None, True),
    ]
    shown = shell("history", name).stdout
    assert "someone else moved it" in shown
    assert source in shown
    assert len(json.loads(shell("history", name, "--limit", "1", "-o", "json").stdout)["moves"]) == 1


def test_a_history_is_kept_for_longer_than_its_pushes(shell: Shell, multi_arch: Index) -> None:
    """Rule 10.6: where the settings say so."""
    config = shell.write("config.toml", "[limits]\nledger_seconds = 3600\nhistory_seconds = 86400\n")
    settings = {"IMAGEPUSHER_CONFIG": config}
    assert shell("copy", shell.put_a(multi_arch), shell.destination(), settings=settings).code == 0
    assert shell("hold", shell.destination(), "--why", "audit", settings=settings).code == 0
    with closing(sqlite3.connect(shell.folder / "state" / "ledger.sqlite3")) as database:
        rows = database.execute("SELECT key, max(expires) - ? FROM hashes GROUP BY key", (time.time(),)).fetchall()
    lives = {key.split(":")[1]: seconds for key, seconds in rows}
    assert lives["push"] < 3601
    assert 3601 < lives["history"] < 86401


def test_what_is_no_tag_has_neither_hold_nor_history(shell: Shell) -> None:
    for name in ("app:1", "b.example/app", f"b.example/app@sha256:{'a' * 64}", "b.example/APP:1"):
        assert shell("history", name).code == 2, name
        assert shell("hold", name, "--why", "x").code == 2, name


def test_a_release_is_taken_back_whole_or_not_at_all(shell: Shell, multi_arch: Index) -> None:
    """Rule 10.7."""
    held = {tag: shell.put_b(versioned("old"), tag) for tag in ("1", "2")}
    source = shell.put_a(multi_arch)
    request = shell.request(source, source, atomic="push", push_id="release")
    for item in request["items"]:
        item["merge"] = False
    assert shell("push", shell.write("release.json", request)).code == 0
    foreign = shell.put_b(versioned("theirs"), "2")
    for arguments in (["--dry-run"], ["--yes"]):
        ended = shell("undo", *arguments, "release", "-o", "json")
        assert (ended.code, sorted(tag["action"] for tag in json.loads(ended.stdout)["tags"])) == (
            3,
            ["moved", "skipped"],
        )
        assert shell.digests() == {"1": multi_arch.digest, "2": foreign}
    assert "1 to keep" in shell("undo", "--dry-run", "release").stdout
    ended = shell("undo", "--yes", "--leave-moved", "release", "-o", "json")
    assert ended.code == 1
    assert shell.digests() == {"1": held["1"], "2": foreign}
