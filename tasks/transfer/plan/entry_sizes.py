"""The sizes of manifests for which the items of one push declare different ones (BEHAVIOUR 2.4, 6.2).

A manifest is copied once for all items, by one size: an index that declares a wrong size must not fail the others.
"""

from collections.abc import Iterable, Mapping, Sequence

from tasks.errors import ImagePusherError
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.index import Index
from tasks.registry.repository import Registries
from tasks.transfer.graph import ensure_size
from tasks.transfer.plan.image import SourceImage


def read_disputed_sizes(sources: Sequence[SourceImage | ImagePusherError], registries: Registries) -> dict[Digest, int]:
    """Return the real size of each manifest that is declared with several sizes.

    It takes one request for each of them, to the first source that serves it. One that no source serves is left out:
    its copy fails.
    """
    disputed = _disputed(source for source in sources if isinstance(source, SourceImage))
    sizes = {digest: _read_size(digest, holders, registries) for digest, holders in disputed.items()}
    return {digest: size for digest, size in sizes.items() if size is not None}


def ensure_sizes(image: SourceImage, sizes: Mapping[Digest, int]) -> None:
    """Raise ContentMismatch if an image declares another size than one of the real `sizes`."""
    for each in _declared(image):
        if each.digest in sizes:
            ensure_size(str(image.reference.place), each, sizes[each.digest])


def _declared(image: SourceImage) -> Iterable[Descriptor]:
    return image.document.entries if isinstance(image.document, Index) else (image.descriptor,)


def _disputed(images: Iterable[SourceImage]) -> dict[Digest, list[SourceImage]]:
    """Return the digests that are declared with several sizes, with the images that declare them."""
    sizes: dict[Digest, set[int]] = {}
    holders: dict[Digest, list[SourceImage]] = {}
    for image in images:
        for each in _declared(image):
            sizes.setdefault(each.digest, set()).add(each.size)
            holders.setdefault(each.digest, []).append(image)
    return {digest: holders[digest] for digest, declared in sizes.items() if len(declared) > 1}


def _read_size(digest: Digest, holders: Iterable[SourceImage], registries: Registries) -> int | None:
    for image in holders:
        known = {image.digest: image.content, **image.manifests}.get(digest)
        if known is not None:
            return len(known)
        try:
            return len(registries.repository(*image.reference.place, "source").fetch_manifest(digest).content)
        except ImagePusherError as error:
            if error.gives_back:
                raise
    return None
