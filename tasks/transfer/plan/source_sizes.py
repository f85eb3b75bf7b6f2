"""The sizes of source images, for registries that tell of a quota."""

import threading

import msgspec

from tasks.errors import ImagePusherError
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Registries
from tasks.transfer.graph import Node, parse_node, walk
from tasks.transfer.plan.image import SourceImage


class Sizes:
    """The sizes of the images of one push, each read once. Thread-safe."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._guard = threading.Lock()
        self._sizes: dict[Digest, int] = {}
        self._manifests: dict[Digest, dict[Digest, bytes]] = {}

    def of(self, image: SourceImage) -> int:
        """Return the bytes of the distinct layers of an image, 0 if its source does not serve all manifests.

        One request for each manifest below an index, which the copy saves again (`with_manifests`).
        """
        with self._guard:
            if image.digest not in self._sizes:
                self._sizes[image.digest] = self._read(image)
            return self._sizes[image.digest]

    def with_manifests(self, image: SourceImage) -> SourceImage:
        """Return the image with the manifests that were read for its size."""
        read = self._manifests.get(image.digest)
        return image if not read else msgspec.structs.replace(image, manifests={**image.manifests, **read})

    def _read(self, image: SourceImage) -> int:
        repository = self._registries.repository(*image.reference.place, "source")
        known = {**image.manifests, image.digest: image.content}
        found = self._manifests.setdefault(image.digest, {})

        def read(each: Descriptor) -> Node:
            content = known.get(each.digest)
            if content is None:
                content = found[each.digest] = repository.fetch_manifest(each.digest).content
            return parse_node(each, FetchedManifest(content, each.media_type, each.digest))

        try:
            layers = {layer.digest: layer.size for node in walk(image.descriptor, read) for layer in node.needs.layers}
        except ImagePusherError as error:
            if error.gives_back:
                raise
            return 0
        return sum(max(size, 0) for size in layers.values())
