"""One walk over the manifests of an image (image-spec image-index.md: an index may name indexes)."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from tasks.errors import ContentMismatch, ManifestInvalid, Side
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.document import parse_document
from tasks.oci.graph import Successors, successors
from tasks.registry.manifest_answer import FetchedManifest

MOST_DEPTH: Final = 8
# Real images have hundreds of manifests of a few KiB. All of them are held at once.
MOST_MANIFESTS: Final = 20_000
MOST_BYTES: Final = 64 << 20


class Node(msgspec.Struct, frozen=True):
    """One manifest of an image, and the manifests and blobs that it needs."""

    descriptor: Descriptor
    manifest: FetchedManifest
    needs: Successors


def parse_node(descriptor: Descriptor, manifest: FetchedManifest) -> Node:
    """Return the node of a manifest; raises SourceError for anything else."""
    return Node(descriptor, manifest, successors(parse_document(manifest.content, manifest.media_type)))


def ensure_size(repository: str, descriptor: Descriptor, size: int) -> None:
    """Raise ContentMismatch unless a manifest of `size` bytes is as large as the source's index declares (2.4)."""
    if not descriptor.fits(size):
        raise ContentMismatch(
            f"{repository}@{descriptor.digest} has {size} bytes instead of the {descriptor.size} that the index"
            " declares.",
            side=Side.SOURCE,
        )


def walk(root: Descriptor, read: Callable[[Descriptor], Node | None]) -> Iterator[Node]:
    """Yield each manifest below `root` once, then `root`: children come before the index that names them.

    `read` returns None to leave a manifest out, with everything below it. Raises ManifestInvalid for indexes nested
    more than 8 deep, for more manifests or bytes than any image has, and the errors of `read`.
    """
    yield from _Walk(root, read).below(root, 0)


class _Walk:
    def __init__(self, root: Descriptor, read: Callable[[Descriptor], Node | None]) -> None:
        self._root = root
        self._read = read
        self._seen: set[Digest] = set()
        self._bytes = 0

    def below(self, each: Descriptor, depth: int) -> Iterator[Node]:
        if each.digest in self._seen:
            return
        self._seen.add(each.digest)
        node = self._read(each)
        if node is None:
            return
        self._check(node, depth)
        for child in node.needs.manifests:
            yield from self.below(child, depth + 1)
        yield node

    def _check(self, node: Node, depth: int) -> None:
        self._bytes += len(node.manifest.content)
        if node.needs.manifests and depth >= MOST_DEPTH:
            raise ManifestInvalid(f"The index {node.descriptor.digest} is nested more than {MOST_DEPTH} deep.")
        if len(self._seen) > MOST_MANIFESTS or self._bytes > MOST_BYTES:
            most = f"{MOST_MANIFESTS} manifests, or {MOST_BYTES >> 20} MiB of them"
            raise ManifestInvalid(f"The index {self._root.digest} has more than {most} below it.")
