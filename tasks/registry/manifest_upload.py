"""Storing one manifest under a tag or its digest, and never over what someone else put there meanwhile.

A PUT whose answer was lost may have been stored, and no registry honours If-Match ("Pushing manifests",
distribution-spec 1.1): so between two tries the reference is read, and what it holds decides.
"""

from collections.abc import Callable

from tasks.errors import ContentMismatch, CopyIncomplete, TagConflict
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, algorithm_of, digest_of
from tasks.registry.http.exchange import Response, find_digest, refusal

# Child or layer missing: distribution-spec names one code, registries use all of these.
_UNKNOWN_PARTS = frozenset({"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"})


class ManifestUpload:
    """One manifest on its way to one reference, `name` in messages; used once, by one thread.

    `put` and `resolve` send one request and do not repeat it. `over` is what a tag held when it was decided to write
    it, None for a tag that was absent.
    """

    def __init__(
        self,
        name: str,
        reference: str,
        content: bytes,
        over: Digest | None,
        put: Callable[[], Response],
        resolve: Callable[[], Descriptor | None],
    ) -> None:
        self._name = name
        self._reference = reference
        self._content = content
        self._over = over
        self._put = put
        self._resolve = resolve
        self._tried = False

    def attempt(self) -> None:
        """Try once; raises Transient where another call is worthwhile.

        Raises TagConflict where, after a try of ours, a tag holds neither our manifest nor what it held before it,
        CopyIncomplete where the registry misses a part of the manifest, ContentMismatch where it stored another.
        """
        if self._tried and self._is_stored():
            return
        self._tried = True
        self._judge(self._put())

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
        if response.status in {400, 404}:
            error = refusal("PUT", response)
            raise CopyIncomplete(error.message) if response.codes & _UNKNOWN_PARTS else error
        stored = find_digest(response.headers.get("Docker-Content-Digest"))
        if stored is not None and not self._is_ours(stored):
            raise ContentMismatch(
                f"{self._name} stored {stored} under {self._reference}, which is not what was pushed."
            )

    def _is_ours(self, digest: Digest) -> bool:
        return digest == digest_of(self._content, algorithm_of(digest))
