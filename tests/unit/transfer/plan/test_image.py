"""A source image, and what of it is taken."""

from collections.abc import Callable

import pytest

from tasks.errors import PlatformMissing
from tasks.oci import media_types
from tasks.oci.digest import digest_of
from tasks.oci.index import Index
from tasks.oci.merge import DEFAULT_RULES, MergeRules
from tasks.oci.platform import Platform
from tasks.transfer.plan.image import kind_of, take_platforms
from tests.unit.oci.listing import attestation, digests, docker_list, image, index, named
from tests.unit.transfer.plan.sources import of_index, single

ARM64 = (Platform("linux", "arm64"),)


def test_an_image_is_a_source_image_if_it_is_said_to_be_and_else_what_it_is() -> None:
    """Rule 2.2."""
    for document in (of_index(index(image("a", "linux/amd64"))).document, single("linux/amd64").document):
        assert kind_of(document, "source") == "source"
    assert kind_of(of_index(docker_list(image("a", "linux/amd64"))).document, "auto") == "multi-arch"
    assert kind_of(single("linux/amd64").document, "auto") == "single-arch"


def test_all_platforms_are_taken_where_none_is_named() -> None:
    """Rules 2.4 and 4.7."""
    whole = of_index(index(image("loose", None), image("a", "linux/amd64")))
    assert take_platforms(whole, (), DEFAULT_RULES) is whole


@pytest.mark.parametrize("list_of", [index, docker_list])
def test_of_an_index_the_eligible_platforms_are_taken(list_of: Callable[..., Index]) -> None:
    """Rule 4.7: the original digest stays known."""
    whole = of_index(list_of(image("a", "linux/amd64"), image("b", "linux/arm64/v8"), attestation("att", "b")))
    part = take_platforms(whole, ARM64, DEFAULT_RULES)
    assert isinstance(part.document, Index)
    assert digests(part.document) == [named("b"), named("att")]
    assert part.digest == digest_of(part.content) != whole.digest
    assert part.media_type == whole.media_type
    assert (part.original_digest, part.original_content) == (whole.digest, whole.content)


def test_where_every_platform_is_eligible_the_bytes_are_those_of_the_source() -> None:
    """Rules 2.4 and 4.7."""
    whole = of_index(index(image("b", "linux/arm64/v8"), attestation("att", "b")))
    assert take_platforms(whole, ARM64, DEFAULT_RULES) is whole


def test_no_eligible_platform_is_a_named_error() -> None:
    """Rule 4.7."""
    whole = of_index(index(image("a", "linux/amd64"), image("loose", None)))
    with pytest.raises(PlatformMissing, match=r"has none of the platforms linux/arm64, linux/386\."):
        take_platforms(whole, (*ARM64, Platform("linux", "386")), DEFAULT_RULES)


def test_a_single_arch_image_is_taken_if_its_platform_is_eligible() -> None:
    """Rule 4.7."""
    arm64 = single("linux/arm64/v8")
    assert take_platforms(arm64, ARM64, DEFAULT_RULES) is arm64
    with pytest.raises(PlatformMissing, match="is an image for linux/amd64, not for linux/arm64"):
        take_platforms(single("linux/amd64"), ARM64, DEFAULT_RULES)
    with pytest.raises(PlatformMissing, match="names no platform in its configuration; the item wants linux/arm64"):
        take_platforms(single(None), ARM64, DEFAULT_RULES)


def test_windows_versions_are_eligible_as_they_are_compared() -> None:
    """Rules 4.2 and 4.7."""
    source, wanted = single("windows/amd64:10.0.17763.1"), (Platform("windows", "amd64", "", "10.0.17763.2"),)
    assert take_platforms(source, wanted, DEFAULT_RULES) is source
    with pytest.raises(PlatformMissing):
        take_platforms(source, wanted, MergeRules(exact_os_version=True))


def test_an_image_describes_its_own_manifest() -> None:
    """Rule 2.4."""
    source = single("linux/arm64")
    described = source.descriptor
    assert (described.media_type, described.digest, described.size, described.platform) == (
        media_types.OCI_MANIFEST,
        source.digest,
        len(source.content),
        source.platform,
    )
