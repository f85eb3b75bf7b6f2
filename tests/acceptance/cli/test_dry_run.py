"""`--dry-run`: what a push would do, asking for pull scope only, and nothing written anywhere."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.acceptance.cli.conftest import Shell, actions, faults
from tests.conftest import MakeRegistry
from tests.support.images import Image, Index, image, index, layer
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry, TokenAuth
from tests.support.stored import Stored, upload
from tests.support.token_server import TokenServer
from tests.support.workers import command, environment, running_worker


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer({"me": "geheim"}) as server:
        yield server


@pytest.fixture
def guarded(make_registry: MakeRegistry, tokens: TokenServer) -> DistributionRegistry:
    return make_registry(auth=TokenAuth(tokens))


def test_a_plan_names_actions_platforms_and_blobs(shell: Shell, multi_arch: Index, single_arch: Image) -> None:
    old = shell.put_b(index([single_arch]))
    before = shell.digests()
    arguments = [shell.put_a(multi_arch), shell.destination("1"), shell.destination("1", "other")]
    ended = shell("copy", "--dry-run", *arguments, "--output", "json")
    preview: dict[str, Any] = ended.document
    assert ended.code == 0
    assert actions(preview) == ["merged", "copied"]
    merged, copied = preview["items"][0]["tags"]
    assert (merged["old_digest"], merged["kept_platforms"]) == (old, ["linux/s390x"])
    assert (copied["old_digest"], copied["new_digest"]) == (None, multi_arch.digest)
    assert {copy["platform"] for copy in preview["copies"]} == {"linux/amd64", "linux/arm64"}
    moves = [there for copy in preview["copies"] for there in copy["repositories"]]
    assert [(there["blobs_copied"], there["blobs_mounted"]) for there in moves] == [(2, 0), (0, 2)] * 2
    assert sum(there["bytes_copied"] for there in moves) == sum(
        len(blob) for member in multi_arch.members if isinstance(member, Image) for blob in member.blobs.values()
    )
    shown = shell("copy", "--dry-run", *arguments)
    assert "Dry run, nothing was written. A push would move " in shown.stdout
    assert shell.digests() == before
    assert shell.stored.tags(f"{shell.name}/other") == []
    assert "No push is remembered" in shell("status").stdout


@pytest.mark.parametrize("broker", [False, True], ids=["alone", "with a broker"])
def test_a_warning_is_a_part_of_the_plan_and_of_the_result(
    shell: Shell, multi_arch: Index, name: str, broker: bool, redis_server: RedisServer
) -> None:
    """Rule 3.2: on the screen and for programs."""
    old = image("linux/arm64", [layer(f"{name}old", 800)])
    shell.put_b(old)
    said = f"Warning {shell.destination()}: A single manifest, {old.digest}, is overwritten."
    places = shell.put_a(multi_arch), shell.destination()
    settings = {"IMAGEPUSHER_BROKER_URL": redis_server.url} if broker else {}
    with running_worker(settings) if broker else nullcontext():
        for before in (["--dry-run"], []):
            shell.put_b(old)
            shown = shell("copy", *before, *places, settings=settings)
            assert said in shown.stdout
            shell.put_b(old)
            told = shell("copy", *before, *places, "-o", "json", settings=settings).document
            (tag,) = told["items"][0]["tags"]
            assert [(warning["code"], warning["message"]) for warning in tag["warnings"]] == [
                ("manifest_overwritten", f"A single manifest, {old.digest}, is overwritten.")
            ]
        if broker:
            with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
                results = [client.get(key) or "" for key in client.scan_iter("*celery-task-meta-*")]
            assert any(told["push_id"] in result and "manifest_overwritten" in result for result in results)


def test_what_was_planned_is_what_is_done(shell: Shell, multi_arch: Index, single_arch: Image) -> None:
    shell.put_b(index([single_arch]))
    request = json.dumps(shell.request(shell.put_a(multi_arch)))
    planned = shell("push", "-", "--dry-run", "-o", "json", stdin=request).document["items"][0]["tags"][0]
    done = shell("push", "-", "-o", "json", stdin=request).document["items"][0]["tags"][0]
    assert {**done, "protective_tag": None} == {**planned, "protective_tag": None}


def test_blobs_are_counted_as_the_push_will_find_them(shell: Shell) -> None:
    """Images share a layer, and one of the destination repositories holds it already."""
    shared = layer(f"{shell.name}shared", 3000)
    images = [image(f"linux/{each}", [shared, layer(f"{shell.name}{each}", 500)]) for each in ("amd64", "arm64")]
    shell.put_b(image("linux/s390x", [shared]), "old")
    destinations = {f"{shell.b.host}/{shell.name}/{name}": ["1"] for name in ("dst", "two", "three")}
    request = json.dumps({"items": [{"source": shell.put_a(index(images)), "destinations": destinations}]})
    preview = shell("push", "-", "--dry-run", "-o", "json", stdin=request).document
    planned = [there for copy in preview["copies"] for there in copy["repositories"]]
    totals = shell("push", "-", "-o", "json", stdin=request).document["totals"]
    for key in ("blobs_copied", "bytes_copied"):
        assert sum(there[key] for there in planned) == totals[key]
    assert totals["blobs_copied"] == 4
    # Two copies that need one blob in one place at the same moment both mount it. A blob that the registry did not find
    # after its mount is placed, and counted, again.
    cheap = ("blobs_mounted", "blobs_skipped")
    assert sum(there[key] for there in planned for key in cheap) <= sum(totals[key] for key in cheap)


def test_only_pull_is_asked_for(
    shell: Shell, multi_arch: Index, guarded: DistributionRegistry, tokens: TokenServer
) -> None:
    source = shell.put_a(multi_arch)
    destination = f"{guarded.host}/{shell.name}/dst"
    ended = shell("copy", "--dry-run", source, f"{destination}:1", "-o", "json")
    assert (ended.code, actions(ended.document)) == (0, ["copied"])
    assert set(tokens.scopes) == {f"repository:{shell.name}/dst:pull"}
    pushed = shell("copy", source, f"{destination}:1", "--dest-creds", "me:geheim")
    assert pushed.code == 0
    assert any(scope.endswith(("pull,push", "push,pull")) for scope in tokens.scopes), "the push does ask for more"


def test_only_pull_is_asked_for_where_nothing_may_be_read_without_a_user(
    shell: Shell, multi_arch: Index, make_registry: MakeRegistry
) -> None:
    """A push would ask such a registry for pull and push, as Quay wants it of who makes a repository."""
    source = shell.put_a(multi_arch)
    with TokenServer({"me": "geheim"}, anonymous_pull=False) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        arguments = ["copy", "--dry-run", source, f"{registry.host}/app:1"]
        assert shell(*arguments).code == 4
        assert shell(*arguments, "--dest-creds", "me:geheim").code == 0
        assert set(tokens.scopes) == {"repository:app:pull"}


def test_no_request_writes(shell: Shell, multi_arch: Index, make_registry: MakeRegistry) -> None:
    destination = make_registry()
    upload(destination.host, "app", multi_arch, "old")
    before = len(destination.requests())
    assert shell("copy", "--dry-run", shell.put_a(multi_arch), f"{destination.host}/new:1").code == 0
    asked = destination.requests()[before:]
    assert asked
    assert {request.method for request in asked} <= {"GET", "HEAD"}
    assert Stored(destination.host).tags("new") == []


def test_exit_codes_are_those_that_the_push_would_end_with(shell: Shell, multi_arch: Index) -> None:
    good, bad = shell.put_a(multi_arch), f"{shell.a.host}/{shell.name}/gone:1"
    for sources, code, codes in (
        ([good], 0, [None]),
        ([good, bad], 1, [None, "source_missing"]),
        ([bad], 3, ["source_missing"]),
    ):
        ended = shell("push", "-", "--dry-run", "-o", "json", stdin=json.dumps(shell.request(*sources)))
        assert (ended.code, faults(ended.document)) == (code, codes)
    assert shell("push", "-", "--dry-run", stdin='{"items": []}').code == 2


def test_a_dry_run_is_waited_for(shell: Shell) -> None:
    refused = shell("copy", "--dry-run", "--no-wait", "a.example/app:1", "b.example/app:1")
    assert refused.code == 2
    assert "--dry-run and --no-wait exclude each other" in refused.stderr


def test_it_needs_no_state_folder(shell: Shell, multi_arch: Index) -> None:
    file = shell.write("file", "")
    arguments = ["--dry-run", shell.put_a(multi_arch), shell.destination(), "-o", "json"]
    ended = shell("copy", *arguments, settings={"IMAGEPUSHER_STATE_DIR": f"{file}/below"})
    assert (ended.code, actions(ended.document)) == (0, ["copied"])


def test_it_needs_no_working_folder(shell: Shell, multi_arch: Index) -> None:
    source = shell.put_a(multi_arch)
    gone = shell.folder / "gone"
    gone.mkdir()
    script = 'cd "$0" && rmdir "$0" && exec "$@"'
    ended = subprocess.run(
        ["sh", "-c", script, str(gone), *command("copy", "--dry-run", source, shell.destination(), "-o", "json")],
        env=environment(shell.settings) | {"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert actions(json.loads(ended.stdout)) == ["copied"]


@pytest.mark.parametrize(
    ("atomic", "expected", "code"), [("push", "skipped", 3), ("item", "copied", 1), (None, "copied", 1)]
)
def test_what_an_atomic_push_withholds_is_withheld_in_its_plan(
    shell: Shell, multi_arch: Index, atomic: str | None, expected: str, code: int
) -> None:
    """Rule 6.4: the dry run and the push end alike."""
    request = shell.request(shell.put_a(multi_arch), f"{shell.a.host}/gone:1") | ({"atomic": atomic} if atomic else {})
    planned = shell("push", "-", "--dry-run", "-o", "json", stdin=json.dumps(request))
    assert (planned.code, actions(planned.document)) == (code, [expected, "failed"])
    assert shell.digests() == {}
    pushed = shell("push", "-", "-o", "json", stdin=json.dumps(request))
    assert pushed.code == planned.code
    assert actions(pushed.document) == actions(planned.document)
    assert faults(pushed.document) == faults(planned.document)
    if atomic == "push":
        shown = shell("push", "-", "--dry-run", stdin=json.dumps(request))
        assert "1 of 2 tags would fail; 1 of 2 tags would be withheld" in shown.stdout
