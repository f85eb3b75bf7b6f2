"""References: the grammar of the distribution specification, and what Docker Hub makes of short names."""

import re

import pytest
from hypothesis import given

from tasks.oci.digest import Digest
from tasks.oci.reference import (
    Reference,
    carries_registry,
    parse_registry,
    parse_repository,
    parse_tag,
    without_transport,
)
from tests.support.strategies import references, registries, tags

DIGEST = Digest(f"sha256:{'a' * 64}")
LONG_DIGEST = Digest(f"sha512:{'b' * 128}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quay.io/ns/app:1", Reference("quay.io", "ns/app", "1")),
        ("quay.io/app:1", Reference("quay.io", "app", "1")),
        ("quay.io:443/ns/app:1", Reference("quay.io:443", "ns/app", "1")),
        ("host:5000/app", Reference("host:5000", "app")),
        ("host:5000/app:1.0_x-y", Reference("host:5000", "app", "1.0_x-y")),
        ("127.0.0.1:5000/a/b/c/d:1", Reference("127.0.0.1:5000", "a/b/c/d", "1")),
        ("[::1]:5000/ns/app:1", Reference("[::1]:5000", "ns/app", "1")),
        ("[2001:db8::17]/app:1", Reference("[2001:db8::17]", "app", "1")),
        ("localhost/app:1", Reference("localhost", "app", "1")),
        ("localhost:5000/app:1", Reference("localhost:5000", "app", "1")),
        ("Registry/app:1", Reference("Registry", "app", "1")),
        ("qual_registry:5000/app:1", Reference("qual_registry:5000", "app", "1")),
        ("_registry._tcp.example.com/app:1", Reference("_registry._tcp.example.com", "app", "1")),
        ("registry.cluster.:5000/app:1", Reference("registry.cluster.:5000", "app", "1")),
        ("registry.cluster./app:1", Reference("registry.cluster.", "app", "1")),
        ("localhost./app:1", Reference("localhost.", "app", "1")),
        ("xn--e1aybc.example.com/app:1", Reference("xn--e1aybc.example.com", "app", "1")),
        (f"host:5000/app@{DIGEST}", Reference("host:5000", "app", None, DIGEST)),
        (f"host:5000/app:1@{DIGEST}", Reference("host:5000", "app", "1", DIGEST)),
        (f"[::1]:5000/app:1@{LONG_DIGEST}", Reference("[::1]:5000", "app", "1", LONG_DIGEST)),
    ],
)
def test_a_reference_may_carry_a_port_a_tag_a_digest_or_both(text: str, expected: Reference) -> None:
    """Rule 1.3."""
    assert Reference.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        ("user/app:1", "docker.io/user/app:1"),
        ("a/b/c:1", "docker.io/a/b/c:1"),
        ("docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("docker.io/user/app:1", "docker.io/user/app:1"),
        ("index.docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("registry-1.docker.io/library/busybox:1", "docker.io/library/busybox:1"),
        ("localhost", "docker.io/library/localhost"),
        ("quay/app:1", "docker.io/quay/app:1"),
    ],
)
def test_short_names_are_those_of_docker_hub(text: str, full: str) -> None:
    """Rule 1.3."""
    assert str(Reference.parse(text)) == full


def test_the_digest_counts_where_there_is_a_tag_too() -> None:
    """Rule 1.3."""
    assert Reference.parse(f"h:1/app:tag@{DIGEST}").identifier == DIGEST
    assert Reference.parse("h:1/app:tag").identifier == "tag"
    assert Reference.parse("h:1/app").identifier == ""


def test_a_reference_is_turned_to_a_digest_in_its_repository() -> None:
    """Rule 2.1."""
    moved = Reference.parse("h:1/ns/app:tag").at(LONG_DIGEST)
    assert (str(moved), moved.name) == (f"h:1/ns/app@{LONG_DIGEST}", "h:1/ns/app")


@given(references())
def test_the_text_of_a_reference_is_read_as_what_it_was(reference: Reference) -> None:
    """Rule 1.3."""
    assert Reference.parse(str(reference)) == reference


@given(registries())
def test_every_host_that_may_stand_in_a_reference_is_one(registry: str) -> None:
    """Rule 1.3."""
    assert parse_registry(registry) == registry
    assert carries_registry(f"{registry}/app")


@pytest.mark.parametrize(
    "name",
    [
        "a", "0", "app", "a/b", "a/b/c", "my.app", "my_app", "my__app", "my-app", "my---app", "ns----app", "a.b_c__d-e",
        "a" * 255, f"{'a' * 127}/{'b' * 127}",
    ],
)  # fmt: skip
def test_repositories_follow_the_grammar_of_distribution(name: str) -> None:
    """Rule 1.2: lower-case letters and digits, joined by one dot, one or two underscores or hyphens."""
    assert parse_repository(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "A", "aB", "a/B", "/a", "a/", "a//b", ".a", "a.", "-a", "a-", "_a", "a_", "a..b", "a___b", "a._b", "a b",
        "a:b", "a@b", "ä", "a\n", "a" * 256, f"{'a' * 128}/{'b' * 127}", "a/../b", "a/./b", "a%2fb",
    ],
)  # fmt: skip
def test_empty_upper_case_over_long_and_malformed_repositories_are_refused(name: str) -> None:
    """Rule 1.2."""
    with pytest.raises(ValueError, match="repository name"):
        parse_repository(name)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("LOCALHOST", "localhost"),
        ("LocalHost:5000", "localhost:5000"),
        ("Registry.Example.COM", "registry.example.com"),
        ("Registry:5000", "registry:5000"),
        ("host:05000", "host:5000"),
        ("host:00080", "host:80"),
        ("[2001:DB8::17]:0443", "[2001:db8::17]:443"),
        ("Docker.IO", "docker.io"),
        ("Registry", "Registry"),
    ],
)
def test_a_host_has_one_spelling(text: str, host: str) -> None:
    """Rule 1.2: or two destinations would be one. Without its capital, `Registry` would be a user at Docker Hub."""
    assert parse_registry(text) == parse_registry(host) == host
    read = Reference.parse(f"{text}/ns/app:1")
    assert (read.registry, Reference.parse(str(read))) == (host, read)


@pytest.mark.parametrize("tag", ["a", "1", "_", "A", "v1.0", "latest", "1.0-2_x", "a" * 128])
def test_tags_follow_the_grammar_of_distribution(tag: str) -> None:
    """Rule 1.2: at most 128 characters."""
    assert parse_tag(tag) == tag


@pytest.mark.parametrize("tag", ["", ".a", "-a", "a" * 129, "a b", "a/b", "a:b", "a@b", "a+b", "ä", "a\n", "\ud800"])
def test_empty_over_long_and_malformed_tags_are_refused(tag: str) -> None:
    """Rule 1.2."""
    with pytest.raises(ValueError, match="is not a tag"):
        parse_tag(tag)


@given(tags())
def test_every_tag_of_the_grammar_is_one(tag: str) -> None:
    """Rule 1.2."""
    assert Reference.parse(f"h:1/app:{tag}").tag == tag


@pytest.mark.parametrize(
    "host",
    [
        "", "-a.b", "a-.b", "a..b", ".a", ".", "a..", "a.-", "a_-", "host:", "host:0", "host:65536", "host:123456",
        "host:x", "::1", "[::1", "[]", "[1]", "[::1::2]", "[::1%lo]", "[127.0.0.1]", "[::1]:", "[::1]:99999", "a b",
        "a/b", "h\n", "a." * 200 + "a",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(host: str) -> None:
    """Rules 1.2 and 1.3."""
    with pytest.raises(ValueError, match="is not a registry host"):
        parse_registry(host)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "@", "/", "h:1/", "h:1/app:", "h:1/app@", "h:1/app@sha256:abc", "h:1/App:1", "h:1/app:-x",
        f"h:1/app@{DIGEST}@{DIGEST}", f"h:1/app:{'t' * 129}", "http://h/app:1", "oci:/folder", "[::1/app:1", ":1",
        f"h:1/{'a' * 256}:1",
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text: str) -> None:
    """Rule 1.2."""
    with pytest.raises(ValueError, match=r".+"):
        Reference.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "user:s3cret@host/app:1",
        "https://user:s3cret@host/app:1",
        "user:s3@cret@host:5000/app:1",
        f"user:s3cret@host/app@{DIGEST}",
    ],
)
def test_credentials_in_a_reference_are_refused_and_not_shown(text: str) -> None:
    """Rule 6.7."""
    with pytest.raises(ValueError, match="carries no credentials") as refusal:
        Reference.parse(text)
    assert not re.search("s3|cret", str(refusal.value))


@pytest.mark.parametrize("part", ["a-", "a.", "a_", "a/", "A", "1:", "[", "@"])
def test_a_huge_text_is_refused_and_shown_in_part(part: str) -> None:
    """Rule 1.2: no grammar here looks often at each character, or this would never end."""
    text = part * 500_000 + "!"
    for parse in (Reference.parse, parse_registry, parse_repository, parse_tag):
        with pytest.raises(ValueError, match=r".+") as refusal:
            parse(text)
        assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    ("name", "carries"),
    [("quay.io/app", True), ("h:1/app", True), ("localhost/app", True), ("Host/app", True), ("[::1]/app", True),
     ("ns/app", False), ("app", False), ("quay.io", False), ("localhost", False), ("", False)],
)  # fmt: skip
def test_the_first_part_of_a_name_is_a_host_if_it_looks_like_one(name: str, carries: bool) -> None:
    """Rule 1.3."""
    assert carries_registry(name) is carries


@pytest.mark.parametrize(
    ("text", "reference"),
    [("docker://h:1/app:1", "h:1/app:1"), ("h:1/app:1", "h:1/app:1"), ("docker://docker://h:1/a", "docker://h:1/a")],
)
def test_skopeos_word_for_a_registry_is_taken_off_once(text: str, reference: str) -> None:
    """Rule 1.6."""
    assert without_transport(text) == reference
