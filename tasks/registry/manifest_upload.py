"""The upload of one manifest to a tag or its digest, which never replaces a concurrent write of someone else.

A PUT whose answer was lost may have taken effect, and no registry honours If-Match ("Pushing manifests",
distribution-spec 1.1): so the reference is read between two tries, and its manifest decides.
"""

from collections.abc import Callable

from tasks.errors import (
    ContentMismatch,
    CopyIncomplete,
    ImagePusherError,
    NotFound,
    RegistryError,
    RequestRefused,
    TagConflict,
)
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, algorithm_of, digest_of
from tasks.registry.http.exchange import Response, find_digest
from tasks.registry.http.refusal import refusal

# A child or layer is missing: distribution-spec names one code, registries use all of these.
_UNKNOWN_PARTS = frozenset({"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"})

# Quay says this of a manifest of which a part is missing, too.
_INVALID = "MANIFEST_INVALID"
_REFUSED = frozenset({400, 404})

_SHOWN = 3


class ManifestUpload:
    """The upload of one manifest to one reference, `name` in messages; used once, by one thread.

    `put` and `resolve` send one request and do not repeat it; `missing` finds the absent parts. `over` is the digest
    that the tag held when the write was decided, None for an absent tag.
    """

    def __init__(
        self,
        name: str,
        reference: str,
        content: bytes,
        over: Digest | None,
        put: Callable[[], Response],
        resolve: Callable[[], Descriptor | None],
        missing: Callable[[], list[Digest]],
    ) -> None:
        self._name = name
        self._reference = reference
        self._content = content
        self._over = over
        self._put = put
        self._resolve = resolve
        self._missing = missing
        self._tried = False
        self._refused_whole = False

    def attempt(self) -> None:
        """Try once; raises Transient if another call is worthwhile.

        Raises TagConflict if, after a try of ours, the tag holds neither our manifest nor the one before it,
        CopyIncomplete if the registry misses a part of the manifest, ContentMismatch if it stored another manifest.
        """
        if self._tried and self._is_stored():
            return
        self._tried = True
        response = self._put()
        if response.status in _REFUSED:
            error = self._refused(response)
            if not self._refused_whole:
                raise error
            # Someone else may have brought the missing part after this refusal, and before the look for it.
            response = self._put()
        self._judge(response)

    def _is_stored(self) -> bool:
        described = self._resolve()
        found = described.digest if described else None
        if found is not None and self._is_ours(found):
            return True
        if find_digest(self._reference) is None and found != self._over:
            raise TagConflict(
                f"{self._name}:{self._reference} became {found or 'absent'} while a write of it was tried again."
            )
        return False

    def _judge(self, response: Response) -> None:
        if response.status in _REFUSED:
            raise self._refused(response)
        stored = find_digest(response.headers.get("Docker-Content-Digest"))
        if stored is not None and not self._is_ours(stored):
            raise ContentMismatch(
                f"{self._name} stored {stored} under {self._reference}, which is not what was pushed."
            )

    def _refused(self, response: Response) -> ImagePusherError:
        """Return the error of a refusal: Quay says only MANIFEST_INVALID for missing parts."""
        error = refusal("PUT", response)
        if response.codes & _UNKNOWN_PARTS:
            return CopyIncomplete(error.message)
        if type(error) not in {RequestRefused, NotFound}:
            return error
        try:
            missing = self._missing()
        except RegistryError:
            return error
        if not missing:
            self._refused_whole = response.codes == {_INVALID}
            return error
        named = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        return CopyIncomplete(f"{error.message} {self._name} lacks {named}.")

    def _is_ours(self, digest: Digest) -> bool:
        return digest == digest_of(self._content, algorithm_of(digest))
