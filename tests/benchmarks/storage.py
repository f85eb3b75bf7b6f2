"""Put content into the storage folder of a registry, as Distribution 2.8 lays it out: far quicker than pushing it."""

from pathlib import Path

from tests.benchmarks.workloads import Placed
from tests.support.images import Image, Node, digest_of

_ROOT = Path("docker/registry/v2")


def store(storage: Path, placed: Placed) -> None:
    """Let a registry that is not running yet hold an image under tags."""
    repository = storage / _ROOT / "repositories" / placed.repository
    _store_node(storage, repository, placed.node)
    for tag in placed.tags:
        tagged = repository / "_manifests/tags" / tag
        _link(tagged / "current", placed.node.digest)
        _link(tagged / "index/sha256" / _encoded(placed.node.digest), placed.node.digest)


def _store_node(storage: Path, repository: Path, node: Node) -> None:
    if isinstance(node, Image):
        for digest, content in node.blobs.items():
            _store_blob(storage, content)
            _link(repository / "_layers/sha256" / _encoded(digest), digest)
    else:
        for member in node.members:
            _store_node(storage, repository, member)
    _store_blob(storage, node.manifest)
    _link(repository / "_manifests/revisions/sha256" / _encoded(node.digest), node.digest)


def _store_blob(storage: Path, content: bytes) -> None:
    encoded = _encoded(digest_of(content))
    path = storage / _ROOT / "blobs/sha256" / encoded[:2] / encoded / "data"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _link(folder: Path, digest: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "link").write_text(digest)


def _encoded(digest: str) -> str:
    return digest.removeprefix("sha256:")
