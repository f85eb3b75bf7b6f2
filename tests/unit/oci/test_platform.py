"""Platforms: their normal form, their text, and what JSON says of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.oci.platform import Platform, PlatformDocument
from tests.support.strategies import platforms


@pytest.mark.parametrize(
    ("architecture", "variant", "expected"),
    [
        ("i386", "", ("386", "")),
        ("i386", "v1", ("386", "")),
        ("386", "", ("386", "")),
        ("x86_64", "", ("amd64", "")),
        ("x86-64", "", ("amd64", "")),
        ("amd64", "v1", ("amd64", "")),
        ("x86_64", "v1", ("amd64", "")),
        ("amd64", "v2", ("amd64", "v2")),
        ("x86_64", "v3", ("amd64", "v3")),
        ("aarch64", "", ("arm64", "")),
        ("arm64", "8", ("arm64", "")),
        ("arm64", "v8", ("arm64", "")),
        ("aarch64", "v8", ("arm64", "")),
        ("arm64", "v8.0", ("arm64", "")),
        ("arm64", "8.0", ("arm64", "")),
        ("arm64", "armv8", ("arm64", "")),
        ("arm64", "v8.2", ("arm64", "v8.2")),
        ("arm64", "v9", ("arm64", "v9")),
        ("arm64", "9", ("arm64", "v9")),
        ("arm64", "9.0", ("arm64", "v9")),
        ("arm64", "v9.0", ("arm64", "v9")),
        ("arm64", "V9.0", ("arm64", "v9")),
        ("armhf", "", ("arm", "v7")),
        ("armhf", "v6", ("arm", "v7")),
        ("armel", "", ("arm", "v6")),
        ("armel", "v7", ("arm", "v6")),
        ("arm", "", ("arm", "v7")),
        ("arm", "7", ("arm", "v7")),
        ("arm", "v7", ("arm", "v7")),
        ("arm", "armv7", ("arm", "v7")),
        ("arm", "v7.0", ("arm", "v7")),
        ("armv7", "", ("arm", "v7")),
        ("armv7l", "", ("arm", "v7")),
        ("armv6l", "", ("arm", "v6")),
        ("arm", "5", ("arm", "v5")),
        ("arm", "6", ("arm", "v6")),
        ("arm", "8", ("arm", "v8")),
        ("arm", "v8", ("arm", "v8")),
        ("ARM64", "V8", ("arm64", "")),
        ("Riscv64", "", ("riscv64", "")),
        ("riscv64", "rva20u64", ("riscv64", "")),
        ("riscv64", "RVA20U64", ("riscv64", "")),
        ("riscv64", "rva22u64", ("riscv64", "rva22u64")),
        ("ppc64le", "power8", ("ppc64le", "")),
        ("ppc64", "power8", ("ppc64", "")),
        ("ppc64le", "power9", ("ppc64le", "power9")),
        ("mips64le", "8", ("mips64le", "8")),
        ("s390x", "", ("s390x", "")),
        ("never-heard-of", "X1", ("never-heard-of", "x1")),
    ],
)
def test_architectures_have_the_normal_form_that_containerd_gives_them(
    architecture: str, variant: str, expected: tuple[str, str]
) -> None:
    """Rule 4.2."""
    normal = Platform("linux", architecture, variant).normalized()
    assert (normal.architecture, normal.variant) == expected


@pytest.mark.parametrize(
    ("said", "normal"), [("macOS", "darwin"), ("Linux", "linux"), ("WINDOWS", "windows"), ("plan9", "plan9")]
)
def test_operating_systems_have_the_normal_form_that_containerd_gives_them(said: str, normal: str) -> None:
    """Rule 4.2."""
    assert Platform(said, "amd64").normalized().os == normal


@pytest.mark.parametrize(
    ("system", "version", "exact", "normal"),
    [
        ("windows", "10.0.17763.5329", False, "10.0.17763"),
        ("Windows", "10.0.17763.5329", False, "10.0.17763"),
        ("windows", "10.0.17763", False, "10.0.17763"),
        ("windows", "10.0", False, "10.0"),
        ("windows", "", False, ""),
        ("windows", "10.0.17763.5329", True, "10.0.17763.5329"),
        ("linux", "5.10.0.17", False, "5.10.0.17"),
    ],
)
def test_of_windows_versions_three_parts_count_unless_they_are_exact(
    system: str, version: str, exact: bool, normal: str
) -> None:
    """Rule 4.2: other systems' versions count whole."""
    assert Platform(system, "amd64", os_version=version).normalized(exact_os_version=exact).os_version == normal


def test_features_are_a_set() -> None:
    """Rule 4.2."""
    one = Platform("windows", "amd64", os_features=("win32k", "net", "win32k"))
    other = Platform("windows", "amd64", os_features=("net", "win32k"))
    assert one.normalized() == other.normalized() != Platform("windows", "amd64").normalized()


@pytest.mark.parametrize("system", ["linux", "Linux", "darwin", "freebsd"])
def test_features_make_a_platform_on_windows_only(system: str) -> None:
    """Rule 4.2: an accelerated copy of an image is for the same platform; so it is selected with it."""
    fast, plain = Platform(system, "amd64", os_features=("nydus.remoteimage.v1",)), Platform(system, "amd64")
    assert fast.normalized() == plain.normalized()
    assert fast.matches(plain)
    assert plain.matches(fast)


@given(platforms(), st.booleans())
def test_a_normal_form_is_its_own(platform: Platform, exact: bool) -> None:
    """Rule 4.2."""
    normal = platform.normalized(exact_os_version=exact)
    assert normal.normalized(exact_os_version=exact) == normal
    assert platform.matches(platform)
    assert platform.matches(normal, exact_os_version=exact)


@given(platforms(), platforms())
def test_platforms_that_are_equal_match_each_other(one: Platform, other: Platform) -> None:
    """Rules 4.2 and 4.7."""
    if one.normalized() == other.normalized():
        assert one.matches(other)
        assert other.matches(one)
    if one.matches(other):
        assert one.normalized().architecture == other.normalized().architecture


@pytest.mark.parametrize(
    ("has", "wanted", "matches"),
    [
        ("windows/amd64:10.0.17763.1", "windows/amd64", True),
        ("windows/amd64", "windows/amd64:10.0.17763", False),
        ("windows/amd64:10.0.17763.1", "windows/amd64:10.0.17763.2", True),
        ("windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.1", False),
        ("linux/arm64/v8", "linux/aarch64", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm", False),
        ("linux/amd64/v2", "linux/amd64", False),
        ("linux/amd64", "windows/amd64", False),
    ],
)
def test_an_eligible_platform_may_leave_the_version_open(has: str, wanted: str, matches: bool) -> None:
    """Rule 4.7."""
    assert Platform.parse(has).matches(Platform.parse(wanted)) is matches


def test_an_exact_version_is_that_version_and_no_other() -> None:
    """Rule 4.2: a setting makes it exact, for selecting, too."""
    has = Platform.parse("windows/amd64:10.0.17763.1")
    for wanted, matches in (("10.0.17763", False), ("10.0.17763.1", True), ("10.0.17763.2", False)):
        assert has.matches(Platform.parse(f"windows/amd64:{wanted}"), exact_os_version=True) is matches
    assert has.matches(Platform.parse("windows/amd64"), exact_os_version=True)


def test_an_eligible_platform_may_leave_features_open() -> None:
    """Rule 4.7."""
    featured, plain = Platform("windows", "amd64", os_features=("win32k",)), Platform("windows", "amd64")
    assert featured.matches(plain)
    assert not plain.matches(featured)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("windows/amd64:10.0.17763", Platform("windows", "amd64", "", "10.0.17763")),
        ("windows(10.0.17763.1)/amd64", Platform("windows", "amd64", "", "10.0.17763.1")),
        ("linux/arm/v6:5", Platform("linux", "arm", "v6", "5")),
        ("linux()/x86_64", Platform("linux", "x86_64")),
    ],
)
def test_the_text_of_a_platform_is_read(text: str, platform: Platform) -> None:
    assert Platform.parse(text) == platform


@given(platforms())
def test_the_text_of_a_platform_is_read_as_what_it_was(platform: Platform) -> None:
    read = Platform.parse(str(platform))
    assert read == Platform(platform.os, platform.architecture, platform.variant, platform.os_version)


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "linux/amd64/", "a/b/c/d", "linux/am d64", "l\n/a"])
def test_what_is_no_platform_is_refused_and_shown_in_part(text: str) -> None:
    """Rule 1.2."""
    with pytest.raises(ValueError, match="is not a platform such as"):
        Platform.parse(text)
    with pytest.raises(ValueError, match=f"^'{'x' * 100}' is not"):
        Platform.parse("x" * 1_000_000)


@given(platforms())
def test_what_json_says_of_a_platform_is_read_as_what_it_was(platform: Platform) -> None:
    assert PlatformDocument.of(platform).read() == platform


@pytest.mark.parametrize(
    "document",
    [
        PlatformDocument(),
        PlatformDocument("unknown", "unknown"),
        PlatformDocument("linux"),
        PlatformDocument("", "arm"),
        PlatformDocument(None, "arm"),
        PlatformDocument("linux", None),
    ],
)
def test_json_may_name_no_platform(document: PlatformDocument) -> None:
    """Rule 4.3: BuildKit writes unknown/unknown for what is not an image."""
    assert document.read() is None


def test_a_system_of_an_unknown_architecture_is_a_platform() -> None:
    assert PlatformDocument("linux", "unknown").read() == Platform("linux", "unknown")
