"""The successors of a node of an image, for every media type (image-spec manifest.md and image-index.md)."""

import msgspec

from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.index import Index
from tasks.oci.manifest import Manifest


class Successors(msgspec.Struct, frozen=True):
    """The manifests and the blobs that a repository must hold before the node itself; `config` is one of the blobs."""

    manifests: tuple[Descriptor, ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    config: Digest | None = None

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The blobs other than the configuration."""
        return tuple(blob for blob in self.blobs if blob.digest != self.config)


def successors(node: Manifest | Index) -> Successors:
    """Return the successors of `node`.

    A `subject` is no successor: a registry takes a manifest without its subject (distribution-spec 1.1, "Pushing
    Manifests with Subject"). Neither is a foreign layer with `urls`: registries should not hold it.
    """
    if isinstance(node, Index):
        return Successors(manifests=_distinct(node.entries))
    layers = (layer for layer in node.layers if not (layer.urls and media_types.is_foreign_layer(layer.media_type)))
    if node.config is None:
        return Successors(blobs=_distinct(tuple(layers)))
    return Successors(blobs=_distinct((node.config, *layers)), config=node.config.digest)


def _distinct(descriptors: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    return tuple({descriptor.digest: descriptor for descriptor in descriptors}.values())
