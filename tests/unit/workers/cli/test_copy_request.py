"""The arguments of `copy` stand for a request of one item."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import RequestInvalid
from tests.support.signatures import Signer
from workers.cli.copy_request import copy_request
from workers.cli.key_file import read_key


def test_a_copy_is_a_request_of_one_item() -> None:
    assert copy_request(
        "docker://a.example/x:1",
        ["docker://b.example/x:1", "b.example/x:2", "b.example/x:2", "localhost/y:1"],
        kind="source",
        single_arch="refuse",
        platforms=["linux/amd64,linux/arm64", "linux/s390x"],
        merge=False,
    ) == {
        "items": [
            {
                "source": "a.example/x:1",
                "destinations": {"b.example/x": ["1", "2", "2"], "localhost/y": ["1"]},
                "kind": "source",
                "single_arch": "refuse",
                "merge": False,
                "platforms": ["linux/amd64", "linux/arm64", "linux/s390x"],
            }
        ]
    }
    named = copy_request("a:1", ["ns/app:1"], target="stage")
    assert (named["target"], named["items"][0]["destinations"]) == ("stage", {"ns/app": ["1"]})


@pytest.mark.parametrize(
    ("destination", "target", "reason"),
    [
        ("b.example/x", None, "has no tag: write b.example/x:TAG"),
        ("b.example:5000/x", None, "has no tag"),
        (f"b.example/x@sha256:{'0' * 64}", None, "has a digest: a destination is a tag"),
        ("x:1", None, "carries no registry host"),
        ("", None, "carries no registry host"),
        ("x", "stage", "has no tag: write x:TAG"),
        ("ns/x:", "stage", "has no tag: write ns/x:TAG"),
        (f"x@sha256:{'0' * 64}", "stage", "has a digest"),
        ("dir:/tmp", None, "dir: is not supported"),
        ("containers-storage:x", None, "containers-storage: is not supported"),
        ("http://b.example/x:1", None, "http:// is not supported"),
    ],
)
def test_a_destination_is_a_repository_with_a_tag(destination: str, target: str | None, reason: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        copy_request("a:1", [destination], target=target)
    (fault,) = refused.value.faults
    assert fault["field"] == f"destination {destination}"
    assert reason in fault["reason"]


def test_what_looks_like_a_transport_is_one_unless_docker_says_otherwise() -> None:
    with pytest.raises(RequestInvalid) as refused:
        copy_request("oci:1", ["oci.example/x:1"])
    assert [fault["field"] for fault in refused.value.faults] == ["source oci:1"]
    assert copy_request("docker://oci:1", ["oci.example/x:1"])["items"][0]["source"] == "oci:1"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, {}),
        ({"referrers": ["all"]}, {"referrers": "all"}),
        ({"referrers": ["a/b,c/d", "e/f"]}, {"referrers": ["a/b", "c/d", "e/f"]}),
        ({"no_referrers": True}, {"referrers": "none"}),
        ({"require_referrers": True}, {"referrers_required": True}),
    ],
)
def test_copy_says_what_comes_along(said: dict[str, Any], meant: dict[str, Any]) -> None:
    """Rules 9.1 and 9.5."""
    (item,) = copy_request("a:1", ["b.example/app:1"], **said)["items"]
    assert {key: value for key, value in item.items() if key.startswith("referrers")} == meant


def test_copy_reads_the_keys_that_must_have_signed(tmp_path: Path) -> None:
    """Rule 9.6."""
    public = Signer().public
    (tmp_path / "cosign.pub").write_text(public)
    (tmp_path / "other.pub").write_text("key")
    (item,) = copy_request("a:1", ["b.example/app:1"], verify_keys=[str(tmp_path / "cosign.pub")])["items"]
    assert item["verify"] == {"keys": [public]}
    with pytest.raises(RequestInvalid, match="cannot be read"):
        copy_request("a:1", ["b.example/app:1"], verify_keys=[str(tmp_path / "gone.pub")])
    with pytest.raises(RequestInvalid, match=r"other\.pub is not a public key in PEM"):
        copy_request("a:1", ["b.example/app:1"], verify_keys=[str(tmp_path / "other.pub")])


def test_a_producer_without_the_extra_sends_a_key_that_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 9.6: the worker reads it. Who has to read it here is told what is missing."""
    (tmp_path / "cosign.pub").write_text("key")
    monkeypatch.setattr("workers.cli.copy_request.find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    (item,) = copy_request("a:1", ["b.example/app:1"], verify_keys=[str(tmp_path / "cosign.pub")])["items"]
    assert item["verify"] == {"keys": ["key"]}
    with pytest.raises(RequestInvalid, match=r"cosign\.pub cannot be used without the extra `signatures`"):
        read_key(str(tmp_path / "cosign.pub"))
