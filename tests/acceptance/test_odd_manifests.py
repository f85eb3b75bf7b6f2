"""Manifests that are only copied, beside skopeo (BEHAVIOUR 2.4): everything that it copies byte by byte is copied."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import World, actions
from tests.support import images
from tests.support.images import Image, Index, Layer, Node, layer
from tests.support.processes import find_program

ABSENT = "absent"
UNHEARD = "application/vnd.never.heard.of+json"


def manifest(only: Layer, *, docker: bool, **changes: Any) -> Image:
    """Return an image of one layer, whose fields are changed as `changes` say."""
    usual = images.image("linux/amd64", [only], docker=docker)
    document = {key: value for key, value in (usual.document | changes).items() if value != ABSENT}
    return Image(json.dumps(document).encode(), usual.media_type, usual.blobs)


def listed(only: Layer, *, docker: bool, at_top: dict[str, Any], in_entry: dict[str, Any]) -> Index:
    """Return an index of one image, whose fields and those of its entry are changed."""
    image = images.image("linux/amd64", [only], docker=docker)
    entry = {key: value for key, value in (image.descriptor() | in_entry).items() if value != ABSENT}
    usual = images.index([image], docker=docker)
    document = {"schemaVersion": 2, "mediaType": usual.media_type, "manifests": [entry]} | at_top
    content = json.dumps({key: value for key, value in document.items() if value != ABSENT}).encode()
    return Index(content, usual.media_type, (image,))


# What docker-registry takes; it takes no manifest without configuration.
IMAGES: dict[str, dict[str, Any]] = {
    "layers null": {"layers": None},
    "layers absent": {"layers": ABSENT},
    "manifests null": {"manifests": None},
    "annotations null": {"annotations": None},
    "annotation null": {"annotations": {"a": None}},
    "subject null": {"subject": None},
    "unheard-of field": {"unheard": [1.10, None]},
}
INDEXES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "config null": ({"config": None, "layers": None}, {}),
    "annotations null": ({"annotations": None}, {"annotations": None}),
    "annotation null": ({"annotations": {"a": None}}, {"annotations": {"a": None}}),
    "platform null": ({}, {"platform": None}),
    "platform absent": ({}, {"platform": ABSENT}),
    "platform of nulls": ({}, {"platform": {"os": None, "architecture": None, "variant": None}}),
    "urls null": ({}, {"urls": None}),
    "unheard-of field": ({"unheard": None}, {"unheard": {"a": UNHEARD}}),
    "unheard-of artifact": ({"artifactType": UNHEARD}, {"artifactType": UNHEARD}),
}


@pytest.mark.parametrize("docker", [True, False], ids=["docker", "OCI"])
@pytest.mark.parametrize("name_of_case", [f"image: {name}" for name in IMAGES] + [f"index: {name}" for name in INDEXES])
def test_what_skopeo_copies_byte_by_byte_is_copied(
    world: World, tmp_path: Path, name_of_case: str, docker: bool
) -> None:
    """Rule 2.4."""
    kind, _, case = name_of_case.partition(": ")
    only = layer(f"{world.name} odd", 100)
    if kind == "image":
        node: Node = manifest(only, docker=docker, **IMAGES[case])
    else:
        at_top, in_entry = INDEXES[case]
        node = listed(only, docker=docker, at_top=at_top, in_entry=in_entry)
    report = world.push(world.item(world.put_a(node)))
    held = world.stored.manifest(world.destination, "1")
    if skopeo_copies(world, node, tmp_path):
        assert (actions(report), held[2]) == (["copied"], node.manifest), report.items[0].error
    assert held[2] == node.manifest or held[0] == 404


def skopeo_copies(world: World, node: Node, folder: Path) -> bool:
    """Tell whether skopeo takes the node along as it is."""
    done = subprocess.run(
        [
            find_program("skopeo", "skopeo"),
            "copy",
            "--all",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            f"docker://{world.a.host}/{world.source}:1",
            f"docker://{world.b.host}/{world.name}/skopeo:1",
        ],
        env={"XDG_DATA_HOME": str(folder), "HOME": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0 and world.stored.digest(f"{world.name}/skopeo", "1") == node.digest
