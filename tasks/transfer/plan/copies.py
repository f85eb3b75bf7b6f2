"""The copies of a push: one for each digest, into every repository that wants it. Pure."""

from collections.abc import Iterable

from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.graph import successors
from tasks.oci.index import Index
from tasks.oci.reference import RepositoryName
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.plan import Copy, ResolvedItem


def needed(image: SourceImage) -> tuple[Descriptor, ...]:
    """Return the manifests that copies must bring: the entries of an index, or the image itself."""
    if isinstance(image.document, Index):
        return successors(image.document).manifests
    return (image.descriptor,)


def arrived(item: ResolvedItem, digest: str | None) -> frozenset[str]:
    """Return the source manifests present at a tag that holds `digest`; referrers of others are left behind (9.4)."""
    return frozenset({*item.needs, digest or ""})


def copies_of(pairs: Iterable[tuple[SourceImage, ResolvedItem]], tries: int | None) -> list[Copy]:
    """Return one copy for each digest, into every repository that wants it: first images, then their referrers.

    A repository wants an image only for a tag that would change, but its referrers for unchanged tags too.
    """
    wishes = _Wishes()
    pairs = list(pairs)
    for image, item in pairs:
        tags = [tag for tag in item.tags if tag.error is None]
        changing = [tag.reference.place for tag in tags if tag.action != "unchanged"]
        for descriptor in needed(image) if item.needs else ():
            wishes.add(descriptor, image.reference.place, changing)
    for image, item in pairs:
        tags = [tag for tag in item.tags if tag.error is None]
        for each in item.referrers:
            places = [tag.reference.place for tag in tags if each.root in arrived(item, tag.new_digest)]
            said = each.referrer
            wishes.add(Descriptor(said.media_type, said.digest, said.size), image.reference.place, places)
    return wishes.copies(tries)


class _Wishes:
    """The digests that repositories want, and the repositories that have them, in the order of arrival."""

    def __init__(self) -> None:
        self._found: dict[Digest, Descriptor] = {}
        self._sources: dict[Digest, dict[RepositoryName, None]] = {}
        self._wanted: dict[Digest, dict[RepositoryName, None]] = {}

    def add(self, descriptor: Descriptor, source: RepositoryName, destinations: Iterable[RepositoryName]) -> None:
        """Note that `destinations` want a digest of `source`, which may be a spare source if they are none."""
        destinations = list(destinations)
        if destinations:
            # An item that wants nothing may declare a wrong size: that must not count for those that want the digest.
            self._found.setdefault(descriptor.digest, descriptor)
        self._sources.setdefault(descriptor.digest, {})[source] = None
        self._wanted.setdefault(descriptor.digest, {}).update(dict.fromkeys(destinations))

    def copies(self, tries: int | None) -> list[Copy]:
        """Return a copy for each digest that is wanted somewhere."""
        return [
            Copy(
                digest=digest,
                media_type=descriptor.media_type,
                size=descriptor.size,
                source=next(iter(self._sources[digest])),
                destinations=list(self._wanted[digest]),
                platform=str(descriptor.platform) if descriptor.platform else None,
                tries=tries,
                spare_sources=list(self._sources[digest])[1:],
            )
            for digest, descriptor in self._found.items()
        ]
