"""Requests as files hold them: what is read, what is refused, and where the fault is."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import RequestInvalid
from workers.cli.request_file import parse_json, read_request
from workers.cli.yaml_documents import parse_yaml

# YAML knows no control characters and no halves of pairs.
WORDS = st.text(st.characters(exclude_categories=("Cc", "Cn", "Cs")), max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_json_means_what_it_means_elsewhere(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@given(VALUES)
def test_json_is_yaml(value: Any) -> None:
    assert parse_yaml(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-01", "2024-01-01"),
        ("12:30", "12:30"),
        ("on", "on"),
        ("No", "No"),
        ("0777", "0777"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        ("=", "="),
        ("true", True),
        ("~", None),
        ("", None),
        ("-5", -5),
        ("1.10", 1.1),
        ('"1.10"', "1.10"),
    ],
)
def test_words_of_yaml_are_those_of_its_core_schema(text: str, value: Any) -> None:
    assert parse_yaml(f"[{text}]" if text else "[null]") == [value]


def test_anchors_and_merges_are_understood() -> None:
    assert parse_yaml("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}") == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"items": [\n  {"source": }]}', "Expecting value in line 2, column 14"),
        ('{"items": []', "in line 1, column 13"),
        ("", "in line 1, column 1"),
        ("{} {}", "Extra data in line 1, column 4"),
        ('{"items": [], "items": []}', "the key 'items' is there twice in the outermost object"),
        ('{"items": [{"a": {"source": 1, "source": 2}}]}', "the key 'source' is there twice in items[0].a"),
    ],
)
def test_faults_of_json_have_a_place(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_json(text)
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("items:\n  - source: a\n   bad: [\n", "in line 3, column 4"),
        ("items: [\n", "in line 2, column 1"),
        ("items: []\nitems: []\n", "the key 'items' is there twice in line 2, column 1"),
        ("1.10: x\n", "the key '1.10' is not a string: put it into quotes in line 1, column 1"),
        ("on: x\n? [a]\n: y\n", "is not a string"),
        ("a: !!python/object:os.system x\n", "in line 1, column 4"),
        ("a: *b\n", "found undefined alias"),
        ("--- a\n--- b\n", "in line 2, column 1"),
        ("a: \x01", "special characters are not allowed"),
    ],
)
def test_faults_of_yaml_have_a_place(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_yaml(text)
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("tags", "fault"),
    [
        ("[1.10]", 'the tag 1.10 in line 4 is a number for YAML: quote it, "1.10"'),
        ("[v1, 2024]", 'the tag 2024 in line 4 is a number for YAML: quote it, "2024"'),
        ("\n        - -5", "the tag -5 in line 5 is a number"),
        ("[true]", 'the tag true in line 4 is a boolean for YAML: quote it, "true"'),
        ("[null]", 'the tag null in line 4 is null for YAML: quote it, "null"'),
        ("[~]", "the tag ~ in line 4 is null"),
        ("\n        -", "a tag is missing in line 5"),
        ("1.10", 'the tag 1.10 in line 4 is a number for YAML: quote it, "1.10"'),
        ("[1.0, 2.0]", 'the tag 1.0 in line 4 is a number for YAML: quote it, "1.0"; the tag 2.0 in line 4'),
    ],
)
@pytest.mark.parametrize(
    "form", ["items:\n  - source: a/b:1\n    destinations:", "push_items:\n  - metadata:\n      tags:"]
)
def test_a_tag_that_yaml_takes_for_something_else_is_named_with_its_line(form: str, tags: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_yaml(f"{form}\n        h/app: {tags}\n")
    assert str(refused.value).startswith(fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("push_id: 20240101", "the push_id 20240101 in line 1 is a number"),
        ("items: [{source: 1.0}]", "the source 1.0 in line 1"),
        ("items: [{platforms: [386]}]", "the platform 386 in line 1"),
        ("items: [{destinations: {5000: [a]}}]", "the repository 5000 in line 1"),
    ],
)
def test_other_names_that_yaml_takes_for_something_else_are_named_too(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_yaml(text)
    assert str(refused.value).startswith(fault)


@pytest.mark.parametrize("text", ["'1.10'", '"1.10"', "2024-01-01", "1.2.3", "0x1F", "yes", "12:30", "1e3", "0777"])
def test_a_tag_that_is_text_for_yaml_is_taken(text: str) -> None:
    read = parse_yaml(f"items: [{{destinations: {{h/app: [{text}]}}}}]")
    assert read["items"][0]["destinations"]["h/app"] == [text.strip("'\"")]


def test_settings_of_a_target_and_options_of_an_item_may_be_numbers_and_booleans() -> None:
    text = "target_settings: {tag_images_tries: 3, tags: [1]}\nitems: [{merge: false}]"
    assert parse_yaml(text) == {"target_settings": {"tag_images_tries": 3, "tags": [1]}, "items": [{"merge": False}]}


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.json", b'{"a": \xe9}', "is not UTF-8 at byte 6"),
        ("a.json", b"[1]", "must be an object with `items` or `push_items`"),
        ("a.json", b'{"items": NaN}', "is not a request: Out of range float values"),
        ("a.json", b"items: []", "line 1, column 1"),
        ("a.yaml", b"{", "line 1, column 2"),
        ("a", b"just words", "must be an object"),
        ("a", b" \n", "is empty: it must hold a request"),
        ("a.json", b"[" * 100_000, "is nested too deeply"),
        ("a.yaml", b"[" * 5_000, "is nested too deeply"),
        ("a.yaml", b"a: &x [*x]", "Circular reference"),
    ],
)
def test_a_file_that_is_no_request_is_named(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RequestInvalid) as refused:
        read_request(str(path))
    assert str(refused.value).startswith(f"{path} is")
    assert fault in str(refused.value)
    assert str(refused.value).endswith("Nothing was written.")


@pytest.mark.parametrize(
    "content", [b'{"items": []}', b'\xef\xbb\xbf{"items": []}', b"\n items: []", b"# x\nitems: []\n"]
)
def test_the_first_character_tells_json_from_yaml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "request"
    path.write_bytes(content)
    assert read_request(str(path)) == {"items": []}


def test_a_secret_is_replaced_before_anything_else_sees_it(tmp_path: Path) -> None:
    """Rule 6.7."""
    path = tmp_path / "request.json"
    settings = {"quay_host": "h", "quay_user": "me", "quay_password": "geheim", "umb_client_token": "geheim"}
    path.write_text(json.dumps({"target_settings": settings, "items": []}))
    read = read_request(str(path))
    assert "geheim" not in json.dumps(read)
    assert read["target_settings"].keys() == settings.keys()
    assert (read["target_settings"]["quay_host"], read["target_settings"]["quay_user"]) == ("h", "me")
