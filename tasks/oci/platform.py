"""Platforms and their normal form (image-spec image-index.md, property `platform`).

The normal form follows the tables that containerd's `platforms` package publishes: it is for comparing only,
what is written keeps the words of its author.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, Self

import msgspec

_OPERATING_SYSTEMS: Final = {"macos": "darwin"}
_ARCHITECTURES: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
# These names say the variant too, whatever stands beside them.
_ARCHITECTURES_OF_A_VARIANT: Final = {
    "i386": ("386", ""),
    "i686": ("386", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_DEFAULT_VARIANTS: Final = {("arm64", "v8"): "", ("amd64", "v1"): "", ("arm", ""): "v7"}
_WINDOWS_VERSION_PARTS: Final = 3

_TEXT: Final = re.compile(
    r"(?P<os>[A-Za-z0-9_.-]+)(?:\((?P<inner>[^()]*)\))?/(?P<architecture>[A-Za-z0-9_.-]+)"
    r"(?:/(?P<variant>[A-Za-z0-9_.-]+))?(?::(?P<version>[A-Za-z0-9_.-]+))?"
)


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on, in its author's words."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `os/architecture[/variant][:os.version]`, or `os(os.version)/architecture`; raises ValueError."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text[:100]!r} is not a platform such as linux/amd64, linux/arm/v7 or windows/amd64:10.0.17763"
            )
        version = match["version"] or match["inner"] or ""
        return cls(match["os"], match["architecture"], match["variant"] or "", version)

    @property
    def known(self) -> bool:
        """Whether it names a platform: attestations carry `unknown/unknown`."""
        return bool(self.os and self.architecture) and (self.os, self.architecture) != ("unknown", "unknown")

    def normalized(self, *, exact_os_version: bool = False) -> "Platform":
        """Return the form in which equal platforms are equal values.

        Windows' os.version counts by its first three parts unless `exact_os_version`: the fourth is the patch level.
        """
        system = self.os.lower()
        system = _OPERATING_SYSTEMS.get(system, system)
        architecture, variant = self.architecture.lower(), self.variant.lower()
        architecture, variant = _ARCHITECTURES_OF_A_VARIANT.get(
            architecture, (_ARCHITECTURES.get(architecture, architecture), variant)
        )
        if architecture in {"arm", "arm64"} and variant.isdigit():
            variant = f"v{variant}"
        variant = _DEFAULT_VARIANTS.get((architecture, variant), variant)
        version = self.os_version
        if system == "windows" and not exact_os_version:
            version = ".".join(version.split(".")[:_WINDOWS_VERSION_PARTS])
        return replace(
            self,
            os=system,
            architecture=architecture,
            variant=variant,
            os_version=version,
            os_features=tuple(sorted(set(self.os_features))),
        )

    def matches(self, wanted: "Platform", *, exact_os_version: bool = False) -> bool:
        """Tell whether this is the wanted platform; a wanted one without os.version or features takes any."""
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


class PlatformDocument(msgspec.Struct, rename={"os_version": "os.version", "os_features": "os.features"}):
    """A platform as JSON says it, in an index entry and in an image configuration alike."""

    os: str = ""
    architecture: str = ""
    variant: str | None = None
    os_version: str | None = None
    os_features: list[str] | None = None

    @classmethod
    def of(cls, platform: Platform) -> Self:
        """Return how JSON says `platform`."""
        return cls(
            platform.os,
            platform.architecture,
            platform.variant or None,
            platform.os_version or None,
            list(platform.os_features) or None,
        )

    def read(self) -> Platform | None:
        """Return the platform; None if it names none."""
        platform = Platform(
            self.os, self.architecture, self.variant or "", self.os_version or "", tuple(self.os_features or ())
        )
        return platform if platform.known else None
