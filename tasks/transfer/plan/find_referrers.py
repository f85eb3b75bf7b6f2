"""Find the referrers of a source image: signatures, SBOMs, attestations, and their referrers (BEHAVIOUR 9.1, 9.2).

It takes one listing of the repository's tags and one request for each manifest. If a registry has no referrers API,
only listed tags are requested: GitLab would answer for `sha256-HEX` with the image itself.
"""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from typing import Final

import msgspec

from tasks.errors import (
    ImagePusherError,
    ManifestInvalid,
    NotFound,
    ReferrersUnreadable,
    ResponseInvalid,
    Side,
    SourceError,
)
from tasks.oci import media_types
from tasks.oci.cosign_tags import cosign_tags, describe_cosign
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.index import Index
from tasks.oci.reference import RepositoryName
from tasks.oci.referrers import Referrer, describe, fallback_tag, is_chosen, parse_list
from tasks.registry.manifest_answer import FetchedManifest
from tasks.registry.repository import Registries, Repository
from tasks.transfer.graph import MOST_DEPTH, parse_node
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.referrers import FoundReferrers, PlannedReferrer
from tasks.transfer.request.target import Referrers

LOG: Final = logging.getLogger(__name__)
_MOST: Final = 10_000
# Each of them is held until the plan is made.
_MOST_NESTED: Final = 500


def find_referrers(
    images: Sequence[SourceImage | ImagePusherError],
    choices: Sequence[Referrers],
    registries: Registries,
    executor: Executor,
) -> list[FoundReferrers]:
    """Return the findings for each image, errors of registries included."""
    groups: dict[tuple[RepositoryName, Referrers], list[int]] = {}
    for number, (image, choice) in enumerate(zip(images, choices, strict=True)):
        if isinstance(image, SourceImage) and choice is not None:
            groups.setdefault((image.reference.place, choice), []).append(number)
    found = [FoundReferrers()] * len(images)
    for (place, choice), numbers in groups.items():
        search = _Search(registries.repository(*place, "source"), choice or (), executor)
        chosen = {number: image for number in numbers if isinstance(image := images[number], SourceImage)}
        try:
            search.run(chosen.values())
        except ImagePusherError as error:
            if error.gives_back:
                raise
            search.errors.append(error.on(Side.SOURCE))
        found = [search.of(chosen[number]) if number in chosen else each for number, each in enumerate(found)]
    return found


class _Found(msgspec.Struct, frozen=True):
    """One referrer of a digest, and the cosign tag that names it, if one does."""

    referrer: Referrer
    tag: str | None = None


class _Search:
    """The search in one repository; each digest is searched once, so that cycles end."""

    def __init__(self, repository: Repository, types: tuple[str, ...], executor: Executor) -> None:
        self.errors: list[ImagePusherError] = []
        self._repository = repository
        self._types = types
        self._executor = executor
        self._tags: frozenset[str] = frozenset()
        self._found: dict[Digest, list[_Found]] = {}
        self._manifests: dict[Digest, bytes] = {}
        self._children: dict[Digest, tuple[Digest, ...]] = {}

    def run(self, images: Iterable[SourceImage]) -> None:
        """Search the images, their children and all findings, until nothing new is found."""
        try:
            self._tags = frozenset(self._repository.tags())
        except ImagePusherError as error:
            if error.gives_back:
                raise
            self.errors.append(error.on(Side.SOURCE))
        level = [digest for image in images for digest in self._roots(image)]
        while level:
            new = [digest for digest in dict.fromkeys(level) if digest not in self._found]
            # The first answer tells whether there is an API to ask.
            ahead = 1 if self._repository.may_list_referrers is None else 0
            looked = [self._look(digest) for digest in new[:ahead]]
            looked += self._executor.map(self._look, new[ahead:])
            self._found |= dict(zip(new, looked, strict=True))
            if len(self._found) > _MOST:
                raise ResponseInvalid(f"{self._repository} lists more than {_MOST} manifests that refer to images.")
            level = [each.referrer.digest for found in looked for each in found]

    def of(self, image: SourceImage) -> FoundReferrers:
        """Return the referrers of one image, and theirs: each once for each of its subjects and tags."""
        planned: dict[tuple[Digest, Digest, str | None], PlannedReferrer] = {}
        for root, digests in self._roots_of(image).items():
            waiting, seen = list(digests), set[Digest]()
            while waiting:
                subject = waiting.pop(0)
                if subject in seen:
                    continue
                seen.add(subject)
                for each in self._found.get(subject, ()):
                    key = (subject, each.referrer.digest, each.tag)
                    planned.setdefault(
                        key, PlannedReferrer(referrer=each.referrer, subject=subject, root=root, tag=each.tag)
                    )
                    waiting.append(each.referrer.digest)
        return FoundReferrers(tuple(planned.values()), self._error(image), self._manifests)

    def _error(self, image: SourceImage) -> ImagePusherError | None:
        if not self.errors:
            return None
        worst = next((error for error in self.errors if error.passes), self.errors[0])
        said = f"The referrers of {image.reference} cannot be found out: {worst.message}"
        error = ReferrersUnreadable(said, worst.retry_after)
        error.retry = worst.retry
        return error

    def _roots(self, image: SourceImage) -> list[Digest]:
        return [digest for digests in self._roots_of(image).values() for digest in digests]

    def _roots_of(self, image: SourceImage) -> dict[Digest, tuple[Digest, ...]]:
        """Return the index and each of its children, with all manifests below: a nested index is copied whole."""
        roots: dict[Digest, tuple[Digest, ...]] = {image.original_digest: (image.original_digest,)}
        if isinstance(image.document, Index):
            for entry in image.document.entries:
                roots[entry.digest] = (entry.digest, *self._below(entry, 1))
        return roots

    def _below(self, entry: Descriptor, depth: int) -> tuple[Digest, ...]:
        """Return the manifests below a nested index; the copy deals with unreadable ones."""
        if entry.media_type not in media_types.INDEXES or depth > MOST_DEPTH:
            return ()
        if entry.digest not in self._children:
            try:
                fetched = self._repository.fetch_manifest(entry.digest)
                nested = parse_node(entry, fetched).needs.manifests
            except (NotFound, SourceError):
                return ()
            self._manifests[entry.digest] = fetched.content
            if len(self._children) >= _MOST_NESTED:
                raise ResponseInvalid(f"{self._repository} nests more than {_MOST_NESTED} indexes.")
            self._children[entry.digest] = ()
            below = (each for child in nested for each in (child.digest, *self._below(child, depth + 1)))
            # Each once: an index may name another one thousands of times, and so on below.
            self._children[entry.digest] = tuple(dict.fromkeys(below))
        return self._children[entry.digest]

    def _look(self, digest: Digest) -> list[_Found]:
        """Return the referrers of one digest; errors are noted, not raised."""
        try:
            found = [_Found(each) for each in self._oci(digest)]
            found += [_Found(each, tag) for tag in cosign_tags(digest) if (each := self._cosign(tag)) is not None]
        except ImagePusherError as error:
            if error.gives_back:
                raise
            self.errors.append(error.on(Side.SOURCE))
            return []
        return [each for each in found if is_chosen(each.referrer, self._types)]

    def _oci(self, digest: Digest) -> list[Referrer]:
        only = self._types[0] if len(self._types) == 1 else None
        listed = self._repository.referrers(digest, only)
        if listed is not None:
            return listed
        tag = fallback_tag(digest)
        fetched = self._tagged(tag)
        if fetched is None:
            return []
        try:
            entries = parse_list(fetched.content) if fetched.media_type in media_types.INDEXES else []
        except ValueError:
            entries = []
        if not entries:
            LOG.warning("%s:%s is not a list of referrers, and is not believed", self._repository, tag)
        return [each for entry in entries if (each := self._believed(entry, digest)) is not None]

    def _believed(self, entry: Referrer, subject: Digest) -> Referrer | None:
        """Return the referrer of a fallback index entry, None if its manifest names another subject."""
        try:
            fetched = self._repository.fetch_manifest(entry.digest)
            described, said = describe(fetched.content, fetched.media_type, entry.digest)
        except (NotFound, ManifestInvalid) as error:
            LOG.warning("%s: %s is listed as a referrer and is none: %s", self._repository, entry.digest, error)
            return None
        if said != subject:
            LOG.warning("%s: %s does not refer to %s, and is not believed", self._repository, entry.digest, subject)
            return None
        self._manifests[entry.digest] = fetched.content
        return described

    def _cosign(self, tag: str) -> Referrer | None:
        fetched = self._tagged(tag)
        if fetched is None:
            return None
        try:
            described = describe_cosign(fetched.content, fetched.media_type, fetched.digest)
        except ManifestInvalid as error:
            LOG.warning("%s:%s is left: %s", self._repository, tag, error)
            return None
        self._manifests[fetched.digest] = fetched.content
        return described

    def _tagged(self, tag: str) -> FetchedManifest | None:
        if tag not in self._tags:
            return None
        try:
            return self._repository.fetch_manifest(tag)
        except NotFound:
            return None
