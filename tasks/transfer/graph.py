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
    more than 8 deep, and the errors of `read`.
    """
    yield from _walk(root, read, set(), 0)


def _walk(each: Descriptor, read: Callable[[Descriptor], Node | None], seen: set[Digest], depth: int) -> Iterator[Node]:
    if each.digest in seen:
        return
    seen.add(each.digest)
    node = read(each)
    if node is None:
        return
    if node.needs.manifests and depth >= MOST_DEPTH:
        raise ManifestInvalid(f"The index {each.digest} is nested more than {MOST_DEPTH} deep.")
    for child in node.needs.manifests:
        yield from _walk(child, read, seen, depth + 1)
    yield node
