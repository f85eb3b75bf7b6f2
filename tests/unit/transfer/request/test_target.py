"""Where a push goes, and how repositories are named there."""

import pytest

from tasks.transfer.request.target import Target, quay_name


@pytest.mark.parametrize(
    ("repository", "name"),
    [("repo", "repo"), ("ns/repo", "ns----repo"), ("a-b/c.d", "a-b----c.d"), ("a----b", "a----b")],
)
def test_on_quay_a_namespace_becomes_a_part_of_the_name(repository: str, name: str) -> None:
    """Rule 1.4."""
    assert quay_name(repository) == name
    assert str(Target(host="quay.io", namespace="shop", naming="quay").reference(repository)) == f"quay.io/shop/{name}"


@pytest.mark.parametrize("repository", ["a/b/c", "/repo", "repo/", "/", "//", "a//b", "/a/b", "a/b/"])
def test_on_quay_more_than_one_slash_or_one_at_an_end_is_an_error(repository: str) -> None:
    """Rule 1.4."""
    for refuse in (quay_name, Target(host="quay.io", naming="quay").reference):
        with pytest.raises(ValueError, match="must be `repository` or `namespace/repository`"):
            refuse(repository)


@pytest.mark.parametrize(
    ("target", "repository", "name"),
    [
        (Target(host="b.example"), "app", "b.example/app"),
        (Target(host="b.example/"), "a/b/c", "b.example/a/b/c"),
        (Target(host="b.example:5000//", namespace="x/y"), "app", "b.example:5000/x/y/app"),
        (Target(host="[::1]:5000", namespace="ns"), "app", "[::1]:5000/ns/app"),
        (Target(host="localhost", namespace="ns", naming="quay"), "a/b", "localhost/ns/a----b"),
        (Target(), "b.example/app", "b.example/app"),
        (Target(), "127.0.0.1:5002/ns/app", "127.0.0.1:5002/ns/app"),
        (Target(), "[::1]:5000/app", "[::1]:5000/app"),
        (Target(), "localhost/app", "localhost/app"),
        (Target(), "docker.io/app", "docker.io/library/app"),
    ],
)
def test_a_destination_is_host_namespace_and_repository(target: Target, repository: str, name: str) -> None:
    """Rule 1.4: a trailing slash on the host is dropped; without a host each repository carries its own."""
    reference = target.reference(repository)
    assert (str(reference), reference.tag, reference.digest) == (name, None, None)


@pytest.mark.parametrize(
    ("target", "repository", "reason"),
    [
        (Target(), "", "is empty"),
        (Target(host="b.example"), "", "is empty"),
        (Target(), "app", "carries no registry host, and the push names no target"),
        (Target(), "ns/app", "carries no registry host"),
        (Target(), "b.example/app:1", "not a reference"),
        (Target(), f"b.example/app@sha256:{'a' * 64}", "not a reference"),
        (Target(), "b.example/App", "is not a repository name"),
        (Target(host="b.example"), "app:1", "is not a repository name"),
        (Target(host="b.example"), "App", "is not a repository name"),
        (Target(host="b.example"), "/app", "is not a repository name"),
        (Target(host="b.example", namespace="n" * 200), "a" * 55, "more than 255 characters"),
        (Target(host="b example"), "app", "is not a registry host"),
    ],
)
def test_what_is_no_destination_is_refused_with_a_reason(target: Target, repository: str, reason: str) -> None:
    """Rules 1.2 and 1.4."""
    with pytest.raises(ValueError, match=reason):
        target.reference(repository)


def test_the_length_of_a_name_counts_with_its_namespace() -> None:
    """Rule 1.2: 255 characters of the whole name, without the host."""
    assert len(Target(host="b.example", namespace="n" * 200).reference("a" * 54).repository) == 255
