"""What is below a nested index, of which each manifest is searched for what refers to it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks.errors import ResponseInvalid
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import parse_digest
from tasks.registry.manifest_answer import FetchedManifest
from tasks.transfer.plan import find_referrers
from tests.support.images import Index, image, index


class Store:
    """A repository that holds the indexes of a test."""

    def __init__(self, *nodes: Index) -> None:
        self._nodes = {node.digest: node for node in nodes}

    def fetch_manifest(self, digest: str) -> FetchedManifest:
        node = self._nodes[digest]
        return FetchedManifest(node.manifest, node.media_type, parse_digest(node.digest))


def below(root: Index, *nodes: Index) -> tuple[str, ...]:
    store: Any = Store(root, *nodes)
    with ThreadPoolExecutor(1) as executor:
        search = find_referrers._Search(store, (), executor)
        entry = Descriptor(root.media_type, parse_digest(root.digest), len(root.manifest))
        return search._below(entry, 1)


def test_what_several_indexes_name_is_below_them_once() -> None:
    """As often as there are ways to it, a few indexes would name millions."""
    leaves = [image(f"linux/{word}") for word in ("amd64", "arm64")]
    low = [index([*leaves, image(f"linux/s390x/{number}")]) for number in range(3)]
    middle = [index([*low, image(f"linux/ppc64le/{number}")]) for number in range(3)]
    root = index(middle)
    found = below(root, *low, *middle)
    assert sorted(found) == sorted(set(found))
    assert {node.digest for node in leaves} | {node.digest for node in (*low, *middle)} <= set(found)


def test_indexes_of_indexes_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    low = [index([image(f"linux/{number}")]) for number in range(5)]
    root = index(low)
    assert len(below(root, *low)) == 10
    monkeypatch.setattr(find_referrers, "_MOST_NESTED", 4)
    with pytest.raises(ResponseInvalid, match="nests more than 4"):
        below(root, *low)
