"""A program with two images to push."""

from pathlib import Path

import pytest

from tests.acceptance.pusher.program import Program
from tests.support.images import Index, image, index, layer
from tests.support.registries import DistributionRegistry


@pytest.fixture
def program(tmp_path: Path, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str) -> Program:
    return Program(tmp_path / "state", registry_a, registry_b, name)


@pytest.fixture
def multi_arch(name: str) -> Index:
    return index(
        [image(each, [layer(f"{name}{each}", 700)], docker=True) for each in ("linux/amd64", "linux/arm64")],
        docker=True,
    )


@pytest.fixture
def other(name: str) -> Index:
    """Return what a destination may hold: a platform that no source of these tests has."""
    return index([image("linux/s390x", [layer(f"{name}other", 700)], docker=True)], docker=True)
