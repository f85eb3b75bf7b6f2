"""Platforms and their normal form (image-spec image-index.md, property `platform`).

The normal form follows the published tables of containerd's `platforms` package, and drops the baseline variant of
an architecture. It is for comparison only: written documents keep the author's words (BEHAVIOUR 4.2).
"""

from typing import Final, Self

import msgspec

from tasks.patterns import late

_OPERATING_SYSTEMS: Final = {"macos": "darwin"}
_ARCHITECTURES: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
# These names imply the variant, whatever the `variant` field says.
_ARCHITECTURES_OF_A_VARIANT: Final = {
    "i386": ("386", ""),
    "i686": ("386", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv5": ("arm", "v5"),
    "armv6": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "armv7": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
}
# The baseline variant of an architecture is equal to no variant. The baseline of arm is v7.
_BASELINES: Final = {
    ("amd64", "v1"): "",
    ("arm", ""): "v7",
    ("arm64", "v8"): "",
    ("ppc64", "power8"): "",
    ("ppc64le", "power8"): "",
    ("riscv64", "rva20u64"): "",
}
# 8, v8, armv8, 8.0, v8.0 are one version; 8.2 is another.
_ARM_VERSION: Final = late(r"(?:arm)?v?(\d+(?:\.\d+)?)")
_WINDOWS_VERSION_PARTS: Final = 3

_TEXT: Final = late(
    r"(?P<os>[A-Za-z0-9_.-]+)(?:\((?P<inner>[^()]*)\))?/(?P<architecture>[A-Za-z0-9_.-]+)"
    r"(?:/(?P<variant>[A-Za-z0-9_.-]+))?(?::(?P<version>[A-Za-z0-9_.-]+))?"
)


class Platform(msgspec.Struct, frozen=True):
    """The platform of an image, in its author's words."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `os/architecture[/variant][:os.version]`, or `os(os.version)/architecture`; raises ValueError."""
        match = _TEXT().fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text[:100]!r} is not a platform such as linux/amd64, linux/arm/v7 or windows/amd64:10.0.17763"
            )
        version = match["version"] or match["inner"] or ""
        return cls(match["os"], match["architecture"], match["variant"] or "", version)

    @property
    def known(self) -> bool:
        """Whether the platform has an os and an architecture, other than `unknown/unknown`."""
        return bool(self.os and self.architecture) and not self.of_no_image

    @property
    def of_no_image(self) -> bool:
        """Whether the entry is no image: attestations carry `unknown/unknown`."""
        return (self.os, self.architecture) == ("unknown", "unknown")

    def normalized(self, *, exact_os_version: bool = False) -> "Platform":
        """Return the form in which equal platforms are equal values (BEHAVIOUR 4.2).

        Windows' os.version counts by its first three parts unless `exact_os_version`: the fourth is the patch level.
        Features distinguish platforms on Windows only.
        """
        system = self.os.lower()
        system = _OPERATING_SYSTEMS.get(system, system)
        architecture, variant = _processor(self.architecture.lower(), self.variant.lower())
        version = self.os_version
        if system == "windows" and not exact_os_version:
            version = ".".join(version.split(".")[:_WINDOWS_VERSION_PARTS])
        features = tuple(sorted(set(self.os_features))) if system == "windows" else ()
        return Platform(system, architecture, variant, version, features)

    def matches(self, wanted: "Platform", *, exact_os_version: bool = False) -> bool:
        """Tell whether this is the `wanted` platform; without os.version or features, `wanted` matches any of them."""
        mine = self.normalized(exact_os_version=exact_os_version)
        theirs = wanted.normalized(exact_os_version=exact_os_version)
        return (
            (mine.os, mine.architecture, mine.variant) == (theirs.os, theirs.architecture, theirs.variant)
            and (not theirs.os_version or mine.os_version == theirs.os_version)
            and set(theirs.os_features) <= set(mine.os_features)
        )

    def __str__(self) -> str:
        variant = f"/{self.variant}" if self.variant else ""
        version = f":{self.os_version}" if self.os_version else ""
        return f"{self.os}/{self.architecture}{variant}{version}"


def _processor(architecture: str, variant: str) -> tuple[str, str]:
    """Return the normal form of an architecture and its variant."""
    architecture, variant = _ARCHITECTURES_OF_A_VARIANT.get(
        architecture, (_ARCHITECTURES.get(architecture, architecture), variant)
    )
    if architecture in {"arm", "arm64"} and (version := _ARM_VERSION().fullmatch(variant)):
        variant = f"v{version[1].removesuffix('.0')}"
    return architecture, _BASELINES.get((architecture, variant), variant)


class PlatformDocument(msgspec.Struct, rename={"os_version": "os.version", "os_features": "os.features"}):
    """A platform in the JSON of an index entry or of an image configuration; null counts as absent."""

    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = None
    os_features: list[str | None] | None = None

    @classmethod
    def of(cls, platform: Platform) -> Self:
        """Return the JSON form of `platform`."""
        return cls(
            platform.os,
            platform.architecture,
            platform.variant or None,
            platform.os_version or None,
            list(platform.os_features) or None,
        )

    def read(self) -> Platform | None:
        """Return the platform, None if no platform is named."""
        platform = self.said()
        return platform if platform.known else None

    def said(self) -> Platform:
        """Return the platform in these words, even if they name none."""
        features = tuple(feature for feature in self.os_features or () if feature)
        return Platform(self.os or "", self.architecture or "", self.variant or "", self.os_version or "", features)
