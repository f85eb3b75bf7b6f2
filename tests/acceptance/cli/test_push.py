"""`imagepusher push` on real registries: requests in every form, what becomes of them, and faults with their place."""

import json
import re
from typing import Any

import pytest

from tests.acceptance.cli.conftest import Shell, actions, error_of, report_of
from tests.support.images import Image, Index, image, index


def test_a_json_file_is_pushed(shell: Shell, multi_arch: Index) -> None:
    file = shell.write("request.json", shell.request(shell.put_a(multi_arch)))
    ended = shell("push", file, "--output", "json")
    report = report_of(ended)
    assert (ended.code, report["state"], actions(report)) == (0, "succeeded", ["copied"])
    assert shell.digests() == {"1": multi_arch.digest}
    shell.stored.holds(shell.repository, "1")


def test_a_yaml_file_is_pushed_and_its_tags_stay_words(shell: Shell, multi_arch: Index) -> None:
    """YAML 1.1 would take the first two for a date and a boolean."""
    text = f"""\
# A comment, an anchor and a merge, as people write them.
items:
  - &all
    source: {shell.put_a(multi_arch)}
    destinations: {{{shell.b.host}/{shell.repository}: [2024-01-01, on, "1.10"]}}
  - <<: *all
    destinations: {{{shell.b.host}/{shell.repository}: [second]}}
"""
    ended = shell("push", shell.write("request.yml", text), "-o", "json")
    assert (ended.code, actions(report_of(ended))) == (0, ["copied"] * 4)
    assert shell.digests() == dict.fromkeys(["1.10", "2024-01-01", "on", "second"], multi_arch.digest)


def test_a_tag_that_yaml_takes_for_a_number_is_a_fault(shell: Shell) -> None:
    text = "items: [{source: 'h.example/a:1', destinations: {h.example/b: [1.10, 12:30]}}]"
    refused = shell("push", shell.write("request.yaml", text))
    assert refused.code == 2
    assert 'the tag 1.10 in line 1 is a number for YAML: quote it, "1.10"' in refused.stderr


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_stdin_is_read_in_either_form(shell: Shell, multi_arch: Index, form: str) -> None:
    request = shell.request(shell.put_a(multi_arch))
    (item,) = request["items"]
    (repository,) = item["destinations"]
    text = (
        json.dumps(request)
        if form == "json"
        else f"items:\n- source: {item['source']}\n  destinations:\n    {repository}: ['1']\n"
    )
    ended = shell("push", "-", "--output", "json", stdin=text)
    assert (ended.code, actions(report_of(ended))) == (0, ["copied"])


def test_the_form_of_pubtools_quay_is_pushed(shell: Shell, multi_arch: Index) -> None:
    """Rules 1.1, 1.4."""
    request = {
        "target_settings": {"quay_host": f"{shell.b.host}/", "quay_namespace": shell.name, "skopeo_image": "any"},
        "push_items": [{"metadata": {"pull_url": shell.put_a(multi_arch), "tags": {"ns/app": ["1"]}, "build": {}}}],
    }
    ended = shell("push", shell.write("request.json", request), "--output", "json")
    (tag,) = report_of(ended)["items"][0]["tags"]
    assert (ended.code, tag["reference"]) == (0, f"{shell.b.host}/{shell.name}/ns----app:1")
    assert "Ignored in target_settings: skopeo_image" in ended.stderr
    assert shell.stored.digest(f"{shell.name}/ns----app", "1") == multi_arch.digest


def test_a_secret_in_a_request_is_refused_and_goes_no_further(shell: Shell) -> None:
    """Rules 1.2, 6.7."""
    settings = {"quay_namespace": "ns", "dest_quay_user": "me", "dest_quay_password": "geheim"}
    items = [{"metadata": {"pull_url": "registry.example/a:1", "tags": {"a": ["1"]}}}]
    request = json.dumps({"target_settings": settings, "push_items": items})
    refused = shell("push", "-", "--output", "json", stdin=request)
    (fault,) = error_of(refused)["faults"]
    assert (refused.code, fault["field"]) == (2, "target_settings.dest_quay_password")
    assert "geheim" not in refused.stdout + refused.stderr


def test_a_target_of_the_settings_names_the_host(shell: Shell, multi_arch: Index) -> None:
    config = shell.write(
        "config.toml", f'[targets.stage]\nhost = "{shell.b.host}"\nnamespace = "{shell.name}"\nnaming = "verbatim"\n'
    )
    item = {"source": shell.put_a(multi_arch), "destinations": {"dst": ["1"]}}
    request = shell.write("request.json", {"target": "stage", "items": [item]})
    ended = shell("--config", config, "push", request, "--output", "json")
    assert (ended.code, actions(report_of(ended)), shell.digests()) == (0, ["copied"], {"1": multi_arch.digest})
    unknown = shell.write("unknown.json", {"target": "stag", "items": [item]})
    refused = shell("push", unknown, settings={"IMAGEPUSHER_CONFIG": config})
    assert refused.code == 2
    assert "'stag' is not a configured target (configured: stage)" in refused.stderr


def test_people_see_what_became_of_each_tag(shell: Shell, multi_arch: Index, single_arch: Image) -> None:
    old = shell.put_b(index([single_arch]))
    gone = f"{shell.a.host}/{shell.name}/gone:1"
    ended = shell("push", "-", stdin=json.dumps(shell.request(shell.put_a(multi_arch), gone)))
    assert ended.code == 1
    lines = [line.rstrip() for line in ended.stdout.splitlines()]
    (merged,) = [line for line in lines if " merged " in line]
    new = shell.stored.digest(shell.repository, "1")
    assert new is not None
    assert re.split(r" {2,}", merged.strip()) == [
        shell.destination(),
        "merged",
        f"{old[7:19]} → {new[7:19]}",
        "linux/s390x",
    ]
    assert any("Error [source_missing]" in line and f"{gone} does not exist" in line for line in lines)
    assert " partial in " in lines[-1]
    assert "\x1b" not in ended.stdout + ended.stderr


def test_exit_codes_tell_all_some_or_nothing(shell: Shell, multi_arch: Index) -> None:
    good, bad = shell.put_a(multi_arch), f"{shell.a.host}/{shell.name}/gone:1"
    for sources, code, state in (([good], 0, "succeeded"), ([good, bad], 1, "partial"), ([bad, bad], 3, "failed")):
        ended = shell("push", "-", "--output", "json", stdin=json.dumps(shell.request(*sources)))
        assert (ended.code, report_of(ended)["state"]) == (code, state)


def test_the_same_id_is_the_same_push(shell: Shell, multi_arch: Index) -> None:
    """Rule 7.3."""
    text = json.dumps(shell.request(shell.put_a(multi_arch)))
    first = report_of(shell("push", "-", "--push-id", "nightly-1", "--output", "json", stdin=text))
    again = report_of(shell("push", "-", "--push-id", "nightly-1", "--output", "json", stdin=text))
    assert first == again
    assert first["push_id"] == "nightly-1"
    other = shell("push", "-", "--push-id", "nightly-1", stdin=json.dumps(shell.request(f"{shell.a.host}/other:1")))
    assert other.code == 2
    assert "'nightly-1' belongs to another request" in other.stderr


def test_two_ids_that_differ_are_refused(shell: Shell) -> None:
    request = json.dumps(shell.request(f"{shell.a.host}/any:1", push_id="mine"))
    refused = shell("push", "-", "--push-id", "yours", stdin=request)
    assert refused.code == 2
    assert "'mine'" in refused.stderr
    assert "'yours'" in refused.stderr


@pytest.mark.parametrize("push_id", ["", 5, "a b", ["x"]])
def test_an_id_that_is_none_is_a_fault_beside_the_others(shell: Shell, push_id: Any) -> None:
    """Rule 1.2."""
    refused = shell("push", "-", "-o", "json", stdin=json.dumps({"push_id": push_id, "items": []}))
    assert refused.code == 2
    assert [fault["field"] for fault in error_of(refused)["faults"]] == ["push_id", "items"]


TEN_FAULTS: dict[str, Any] = {
    "push_id": "no blanks please",
    "atomic": "tag",
    "itmes": [],
    "items": [
        {"source": "registry.example/app", "destinations": {"registry.example/App": ["1"]}},
        {"source": 5, "destinations": {"registry.example/app": [], "app": ["1"]}, "kind": "images", "extra": None},
        {"destinations": {"registry.example/app": "latest", "registry.example/b": [1.5, "-", "x" * 129]}},
        "registry.example/app:1",
    ],
}


def test_a_request_with_many_faults_lists_all_of_them_and_writes_nothing(shell: Shell) -> None:
    """Rule 1.2."""
    refused = shell("push", "-", "--output", "json", stdin=json.dumps(TEN_FAULTS))
    error = error_of(refused)
    assert (refused.code, error["code"]) == (2, "request_invalid")
    assert {(fault["item"], fault["field"]) for fault in error["faults"]} == {
        (None, "push_id"),
        (None, "atomic"),
        (None, "itmes"),
        (0, "source"),
        (0, "destinations.registry.example/App"),
        (1, "source"),
        (1, "destinations.registry.example/app"),
        (1, "destinations.app"),
        (1, "kind"),
        (1, "extra"),
        (2, "source"),
        (2, "destinations.registry.example/app"),
        (2, "destinations.registry.example/b"),
        (3, "item"),
    }
    shown = [line for line in refused.stderr.splitlines() if line.startswith("  ")]
    assert len(shown) == len(error["faults"])
    assert f"The request has {len(shown)} faults. Nothing was written." in refused.stderr
    numbers = [int(number) for number in re.findall(r"^  item (\d),", refused.stderr, re.MULTILINE)]
    assert numbers == sorted(numbers), "faults stand in the order of their items"
    assert "No push is remembered" in shell("status").stdout


@pytest.mark.parametrize(("file", "fault"), [("none.json", "does not exist"), (".", "is a directory")])
def test_a_file_that_is_not_there_is_a_fault_of_usage(shell: Shell, file: str, fault: str) -> None:
    refused = shell("push", str(shell.folder / file), "--output", "json")
    assert (refused.code, error_of(refused)["code"]) == (2, "usage")
    assert fault in refused.stderr


def test_a_file_without_end_is_refused(shell: Shell) -> None:
    """T15."""
    ended = shell("push", "/dev/zero", "-o", "json")
    assert (ended.code, error_of(ended)["code"]) == (2, "request_invalid")
    assert "MiB" in error_of(ended)["message"]


def test_a_syntax_error_names_file_line_and_column(shell: Shell) -> None:
    for name, content, place in (
        ("a.json", '{"items": [\n  {"source": }]}', "Expecting value in line 2, column 14"),
        ("a.yaml", "items:\n  - source: a\n   bad: [\n", "in line 3, column 4"),
    ):
        path = shell.write(name, content)
        refused = shell("push", path)
        assert refused.code == 2
        assert f"{path} is not a request: " in refused.stderr
        assert place in refused.stderr
        assert "Nothing was written" in refused.stderr


def test_words_of_the_request_cannot_command_the_terminal(shell: Shell) -> None:
    request = {"items": [{"source": "\x1b[31mred\x07:1", "destinations": {"\x1b]0;title\x07": ["ü"]}}]}
    refused = shell("push", "-", stdin=json.dumps(request))
    assert refused.code == 2
    assert r"\x1b[31mred\x07" in refused.stderr
    assert not set("\x1b\x07") & set(refused.stderr)


def test_hundreds_of_tags_are_one_push(shell: Shell) -> None:
    source = shell.put_a(image("linux/amd64"))
    destinations = {f"{shell.b.host}/{shell.name}/r{number}": ["1", "2", "3", "4"] for number in range(25)}
    request = {"items": [{"source": source, "destinations": destinations}]}
    ended = shell("push", "-", "-o", "json", stdin=json.dumps(request))
    assert (ended.code, actions(report_of(ended))) == (0, ["copied"] * 100)
