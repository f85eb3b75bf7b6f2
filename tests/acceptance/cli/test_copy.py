"""`imagepusher copy` on real registries: one image, as someone who knows skopeo types it."""

import json

import pytest

from tests.acceptance.cli.conftest import Shell, actions, error_of, faults, report_of
from tests.support.images import Image, Index, index


def test_one_image_goes_to_several_destinations(shell: Shell, multi_arch: Index) -> None:
    source = f"docker://{shell.put_a(multi_arch)}"
    destinations = [shell.destination("1"), f"docker://{shell.destination('2')}", shell.destination("1", "other")]
    ended = shell("copy", source, *destinations, "--output", "json")
    report = report_of(ended)
    assert (ended.code, actions(report)) == (0, ["copied"] * 3)
    assert shell.digests() == dict.fromkeys(["1", "2"], multi_arch.digest)
    assert shell.stored.holds(f"{shell.name}/other", "1") >= {multi_arch.digest}


def test_a_digest_is_a_source(shell: Shell, multi_arch: Index) -> None:
    """Rule 1.3."""
    repository = shell.put_a(multi_arch).removesuffix(":1")
    ended = shell("copy", f"{repository}@{multi_arch.digest}", shell.destination(), "-o", "json")
    assert (ended.code, shell.digests()) == (0, {"1": multi_arch.digest})


def test_platforms_that_only_the_destination_has_stay_unless_told_otherwise(
    shell: Shell, multi_arch: Index, single_arch: Image
) -> None:
    """Rules 3.1, 3.2."""
    shell.put_b(index([single_arch]))
    source = shell.put_a(multi_arch)
    merged = report_of(shell("copy", source, shell.destination(), "-o", "json"))
    assert (actions(merged), merged["items"][0]["tags"][0]["kept_platforms"]) == (["merged"], ["linux/s390x"])
    copied = report_of(shell("copy", "--no-merge", source, shell.destination(), "-o", "json"))
    assert (actions(copied), shell.digests()["1"]) == (["copied"], multi_arch.digest)


def test_a_platform_that_is_named_is_the_only_one_taken(shell: Shell, multi_arch: Index) -> None:
    """Rule 4.7."""
    source = shell.put_a(multi_arch)
    assert shell("copy", "--platform", "linux/arm64", source, shell.destination()).code == 0
    (entry,) = json.loads(shell.stored.manifest(shell.repository, "1")[2])["manifests"]
    assert entry["platform"] == {"architecture": "arm64", "os": "linux"}
    both = ["--platform", "linux/arm64,linux/amd64", "--platform", "linux/ppc64le"]
    assert shell("copy", *both, source, shell.destination("2")).code == 0
    assert shell.digests()["2"] == multi_arch.digest
    missing = shell("copy", "--platform", "linux/riscv64", source, shell.destination("3"), "-o", "json")
    assert (missing.code, faults(report_of(missing))) == (3, ["platform_missing"])


@pytest.mark.parametrize(
    ("choice", "action", "code"), [("merge", "merged", 0), ("copy", "copied", 0), ("refuse", "failed", 3)]
)
def test_an_image_that_is_no_index_is_merged_copied_or_refused(
    shell: Shell, multi_arch: Index, single_arch: Image, choice: str, action: str, code: int
) -> None:
    """Rule 2.2."""
    shell.put_b(multi_arch)
    source = shell.put_a(single_arch)
    ended = shell("copy", "--single-arch", choice, source, shell.destination(), "-o", "json")
    assert (ended.code, actions(report_of(ended))) == (code, [action])


def test_a_source_image_is_copied_as_it_is(shell: Shell, multi_arch: Index, single_arch: Image) -> None:
    """Rule 2.2."""
    shell.put_b(index([single_arch]))
    ended = shell("copy", "--kind", "source", shell.put_a(multi_arch), shell.destination(), "-o", "json")
    assert (actions(report_of(ended)), shell.digests()) == (["copied"], {"1": multi_arch.digest})


def test_a_target_takes_repositories_without_host(shell: Shell, multi_arch: Index) -> None:
    """Rule 1.4."""
    config = shell.write(
        "config.toml", f'[targets.quay]\nhost = "{shell.b.host}"\nnamespace = "{shell.name}"\nnaming = "quay"\n'
    )
    source = shell.put_a(multi_arch)
    ended = shell("--config", config, "copy", "--target", "quay", source, "ns/app:1", "docker://app:1", "-o", "json")
    assert [tag["reference"] for tag in report_of(ended)["items"][0]["tags"]] == [
        f"{shell.b.host}/{shell.name}/ns----app:1",
        f"{shell.b.host}/{shell.name}/app:1",
    ]


def test_faults_are_those_of_the_arguments(shell: Shell) -> None:
    refused = shell("copy", "oci:folder", "b.example/x", "https://b.example/x:1", "app:1", "b.example/x@sha256:1")
    assert refused.code == 2
    lines = [line.strip() for line in refused.stderr.splitlines()[1:]]
    assert [line.partition(": ")[0] for line in lines] == [
        "source oci:folder",
        "destination b.example/x",
        "destination https://b.example/x:1",
        "destination app:1",
        "destination b.example/x@sha256:1",
    ]
    assert "oci: is not supported: images are copied between registries" in lines[0]
    assert "has no tag: write b.example/x:TAG" in lines[1]
    assert "https:// is not supported" in lines[2]
    assert "carries no registry host" in lines[3]


def test_a_source_without_tag_is_a_fault(shell: Shell) -> None:
    """Rule 1.2."""
    refused = shell("copy", f"{shell.a.host}/app", shell.destination(), "-o", "json")
    assert refused.code == 2
    reason = error_of(refused)["faults"][0]["reason"]
    assert reason.startswith(f"'{shell.a.host}/app' has neither a tag nor a digest: write {shell.a.host}/app:TAG")
    assert refused.stderr.splitlines()[1].startswith("  source: ")


def test_credentials_in_a_reference_are_refused_and_not_shown(shell: Shell) -> None:
    """Rules 1.2, 6.7."""
    for arguments in (
        ("docker://me:geheim@a.example/app:1", "b.example/app:1"),
        ("a.example/app:1", "docker://me:geheim@b.example/app:1"),
        ("https://me:geheim@a.example/app:1", "me:geheim@b.example/app:1"),
    ):
        refused = shell("copy", *arguments, "--output", "json")
        assert refused.code == 2
        assert "geheim" not in refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("flag", "hint"),
    [
        ("--all", "every platform is copied unless --platform names some"),
        ("--override-arch=arm64", "write --platform OS/ARCH"),
        ("--src-username=me", "write --src-creds USER:PASSWORD"),
        ("--preserve-digests", "byte by byte"),
        ("--retry-times=3", "http.tries"),
    ],
)
def test_flags_of_skopeo_that_are_not_here_say_what_is(shell: Shell, flag: str, hint: str) -> None:
    refused = shell("copy", flag, "a.example/app:1", "b.example/app:1", "-o", "json")
    assert (refused.code, error_of(refused)["code"]) == (2, "usage")
    assert f"There is no {flag.partition('=')[0]} here: " in refused.stderr
    assert hint in refused.stderr


def test_a_flag_that_nobody_knows_is_a_fault_of_usage(shell: Shell) -> None:
    refused = shell("copy", "--quite", "a.example/app:1", "b.example/app:1")
    assert refused.code == 2
    assert "No such option '--quite'" in refused.stderr
    assert "--quiet" in refused.stderr


def test_jobs_are_at_least_one(shell: Shell, multi_arch: Index) -> None:
    source = shell.put_a(multi_arch)
    assert shell("copy", "--jobs", "0", source, shell.destination()).code == 2
    assert shell("copy", "--jobs", "1", source, shell.destination()).code == 0
    assert shell.digests() == {"1": multi_arch.digest}


def test_a_registry_that_is_down_is_named_while_it_is_tried_and_in_the_end(shell: Shell, multi_arch: Index) -> None:
    fast = shell.write("config.toml", "http.tries = 2\n")
    arguments = ["--config", fast, "copy", shell.put_a(multi_arch), "127.0.0.1:1/app:1"]
    ended = shell(*arguments)
    assert ended.code == 3
    trouble = "127.0.0.1:1 does not answer, or with errors; it is tried again for a while."
    assert ended.stderr.splitlines().count(trouble) == 1
    assert "Error [registry_unavailable] GET 127.0.0.1:1/v2/: connection refused" in ended.stdout
    assert shell(*arguments, "--quiet").stderr == ""
