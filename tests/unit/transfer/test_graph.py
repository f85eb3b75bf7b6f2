"""The walk over the manifests of an image."""

import pytest

from tasks.errors import ManifestInvalid
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import parse_digest
from tasks.registry.manifest_answer import FetchedManifest
from tasks.transfer import graph
from tasks.transfer.graph import MOST_DEPTH, Node, parse_node, walk
from tests.support import images
from tests.support.images import image, index


class Store:
    """Manifests by digest; `read` tells which were read, and leaves out those that are `lost`."""

    def __init__(self, *nodes: images.Node, lost: frozenset[str] = frozenset()) -> None:
        self._nodes = {node.digest: node for node in nodes}
        self._lost = lost
        self.read_digests: list[str] = []

    def read(self, each: Descriptor) -> Node | None:
        self.read_digests.append(each.digest)
        if each.digest in self._lost:
            return None
        node = self._nodes[each.digest]
        return parse_node(each, FetchedManifest(node.manifest, node.media_type, each.digest))

    def digests(self, root: images.Node) -> list[str]:
        descriptor = Descriptor(root.media_type, parse_digest(root.digest), len(root.manifest))
        return [node.descriptor.digest for node in walk(descriptor, self.read)]


def test_children_come_before_the_index_that_names_them() -> None:
    """Rule 5.2."""
    amd64, arm64 = image("linux/amd64"), image("linux/arm64")
    inner = index([arm64])
    outer = index([amd64, inner])
    store = Store(amd64, arm64, inner, outer)
    assert store.digests(outer) == [amd64.digest, arm64.digest, inner.digest, outer.digest]


def test_each_manifest_is_read_once() -> None:
    shared = image("linux/amd64")
    inner = index([shared])
    outer = index([shared, inner])
    store = Store(shared, inner, outer)
    assert store.digests(outer) == [shared.digest, inner.digest, outer.digest]
    assert len(store.read_digests) == 3


def test_a_manifest_that_is_left_out_takes_all_below_it_along() -> None:
    below = image("linux/amd64")
    inner = index([below])
    other = image("linux/arm64")
    outer = index([inner, other])
    store = Store(below, inner, other, outer, lost=frozenset({inner.digest}))
    assert store.digests(outer) == [other.digest, outer.digest]


def test_indexes_are_nested_only_so_deep() -> None:
    nodes: list[images.Node] = [image("linux/amd64")]
    for _ in range(MOST_DEPTH):
        nodes.append(index([nodes[-1]]))
    assert len(Store(*nodes).digests(nodes[-1])) == MOST_DEPTH + 1
    nodes.append(index([nodes[-1]]))
    with pytest.raises(ManifestInvalid, match="nested more than"):
        Store(*nodes).digests(nodes[-1])


@pytest.mark.parametrize(("bound", "most"), [("MOST_MANIFESTS", 5), ("MOST_BYTES", 2000)])
def test_an_image_is_not_without_end(monkeypatch: pytest.MonkeyPatch, bound: str, most: int) -> None:
    """Indexes of indexes of indexes: each is small enough, and all of them are held at once."""
    leaves = [image(f"linux/{word}") for word in ("amd64", "arm64", "s390x", "ppc64le")]
    inner = [index(leaves[:2]), index(leaves[2:])]
    outer = index(inner)
    store = Store(*leaves, *inner, outer)
    assert len(store.digests(outer)) == 7
    monkeypatch.setattr(graph, bound, most)
    with pytest.raises(ManifestInvalid, match="more than"):
        store.digests(outer)
