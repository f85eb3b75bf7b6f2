"""What is pushed: images as recipes, where they are at A and where they shall go at B. No I/O."""

import gzip
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from tests.support import images
from tests.support.images import Index, Layer, Node

MEBIBYTE: Final = 1 << 20
KIBIBYTE: Final = 1 << 10
_BLOCK: Final = 64 * MEBIBYTE
PLATFORMS: Final = ("linux/amd64", "linux/arm64", "linux/ppc64le", "linux/s390x")
MORE_PLATFORMS: Final = (*PLATFORMS, "linux/386", "linux/arm/v6", "linux/arm/v7", "linux/riscv64")


@dataclass(frozen=True)
class Placed:
    """Say that a repository holds a node under these tags."""

    repository: str
    tags: tuple[str, ...]
    node: Node


@dataclass(frozen=True)
class Copy:
    """Say that the image at `source`, `repository:tag` of A, goes to these tags of repositories at B."""

    source: str
    destinations: dict[str, tuple[str, ...]]

    def references(self) -> list[tuple[str, str]]:
        """Return repository and tag of each destination."""
        return [(repository, tag) for repository, tags in self.destinations.items() for tag in tags]


@dataclass(frozen=True)
class Workload:
    """One line of the benchmark.

    `at_a` and `at_b` make the content, lazily, since some of it is big; `content_bytes` is the size of all layers that
    `at_a` makes. With `again` the same push has been done just before, and with `delay` (milliseconds, each way) both
    registries are far away. `syncs` says that the destinations are named as a mirroring command names them.
    """

    name: str
    title: str
    at_a: Callable[[], Iterator[Placed]]
    copies: tuple[Copy, ...]
    content_bytes: int
    at_b: Callable[[], Iterator[Placed]] = lambda: iter(())
    merges: bool = False
    again: bool = False
    delay: float = 0.0
    syncs: bool = False
    digests: int = 0

    @property
    def tags(self) -> int:
        return sum(len(copy.references()) for copy in self.copies)


def layer(seed: str, size: int) -> Layer:
    """Build a layer of `size` random bytes in gzip's frame; nobody unpacks it, so it need not be a tar."""
    drawn = random.Random(seed)
    # One call cannot make more than 256 MiB.
    plain = b"".join(drawn.randbytes(min(_BLOCK, size - start)) for start in range(0, size, _BLOCK))
    return Layer(gzip.compress(plain, compresslevel=0, mtime=0), images.digest_of(plain))


def multi_arch(seed: str, platforms: Iterable[str], layers: int, size: int) -> Index:
    """Build an index whose images share nothing."""
    return images.index(
        images.image(platform, [layer(f"{seed}-{platform}-{number}", size) for number in range(layers)])
        for platform in platforms
    )


def _one_image(name: str, platforms: tuple[str, ...], layers: int, size: int, title: str) -> Workload:
    return Workload(
        name=name,
        title=title,
        at_a=lambda: iter([Placed("app/image", ("1.0",), multi_arch(name, platforms, layers, size))]),
        copies=(Copy("app/image:1.0", {"app/copy": ("1.0",)}),),
        content_bytes=len(platforms) * layers * size,
    )


_W1: Final = _one_image("W1", PLATFORMS, 5, 10 * MEBIBYTE, "4 platforms x 5 layers x 10 MiB")
_W4: Final = replace(
    _W1,
    name="W4",
    title="W1's image into 20 repositories",
    copies=(Copy("app/image:1.0", {f"team-{number:02}/image": ("1.0",) for number in range(20)}),),
)

_BASES: Final = 3
_BASE_LAYERS: Final = 3
_RELEASED: Final = 30


def _release_at_a() -> Iterator[Placed]:
    for base in range(_BASES):
        below = {
            platform: [layer(f"W6-base-{base}-{platform}-{number}", 20 * MEBIBYTE) for number in range(_BASE_LAYERS)]
            for platform in PLATFORMS
        }
        for number in range(base, _RELEASED, _BASES):
            released = images.index(
                images.image(platform, [*below[platform], layer(f"W6-own-{number}-{platform}", 5 * MEBIBYTE)])
                for platform in PLATFORMS
            )
            yield Placed(_released(number), ("1.0", "latest"), released)


def _release_at_b() -> Iterator[Placed]:
    """Yield what makes a merge due: a platform that the source lacks, under both tags of every third image."""
    for number in range(0, _RELEASED, 3):
        kept = images.index([images.image("linux/mips64le", [layer(f"W6-kept-{number}", KIBIBYTE)])])
        for repository in ("one", "two"):
            yield Placed(f"{repository}/image-{number:02}", ("1.0", "latest"), kept)


def _released(number: int) -> str:
    return f"app/image-{number:02}"


_W6: Final = Workload(
    name="W6",
    title="a release: 30 images x 4 platforms on 3 bases, 2 repositories x 2 tags, a third merged",
    at_a=_release_at_a,
    at_b=_release_at_b,
    copies=tuple(
        Copy(
            f"{_released(number)}:1.0",
            {f"{repository}/image-{number:02}": ("1.0", "latest") for repository in ("one", "two")},
        )
        for number in range(_RELEASED)
    ),
    content_bytes=len(PLATFORMS) * MEBIBYTE * (_BASES * _BASE_LAYERS * 20 + _RELEASED * 5),
    merges=True,
    syncs=True,
)

_A_INDEX: Final = 100


def _many_at_a(indexes: int) -> Iterator[Placed]:
    for number in range(indexes):
        members = (
            images.image({"os": "linux", "architecture": f"a{member}"}, [layer(f"W8-{number}-{member}", KIBIBYTE)])
            for member in range(_A_INDEX)
        )
        yield Placed(f"app/many-{number:02}", ("1.0",), images.index(members))


def _many(name: str, digests: int) -> Workload:
    indexes = digests // _A_INDEX
    return Workload(
        name=name,
        title=f"{digests:,} digests of 1 KiB",
        at_a=lambda: _many_at_a(indexes),
        copies=tuple(
            Copy(f"app/many-{number:02}:1.0", {f"one/many-{number:02}": ("1.0",)}) for number in range(indexes)
        ),
        content_bytes=digests * KIBIBYTE,
        syncs=True,
        digests=digests,
    )


WORKLOADS: Final = {
    workload.name: workload
    for workload in (
        _W1,
        _one_image("W2", MORE_PLATFORMS, 10, 50 * KIBIBYTE, "8 platforms x 10 layers x 50 KiB"),
        _one_image("W3", PLATFORMS[:1], 1, 500 * MEBIBYTE, "one layer of 500 MiB"),
        _W4,
        replace(_W4, name="W5", title="the push of W4 again, unchanged", again=True),
        _W6,
        replace(_W6, name="W7", title="W6, 20 ms away each way", delay=20.0),
        _many("W8", 5000),
        _many("W8s", 500),
    )
}

# Every A holds it: what a push of next to nothing costs, and what warms a worker up.
TINY: Final = Placed("warm/up", ("1",), multi_arch("tiny", PLATFORMS[:2], 1, KIBIBYTE))
