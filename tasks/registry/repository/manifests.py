"""The manifests of one repository."""

from http import HTTPStatus

from tasks.errors import DestinationError, ImagePusherError, NotFound, SourceError
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest
from tasks.oci.document import parse_document
from tasks.oci.graph import successors
from tasks.registry.http.exchange import Response
from tasks.registry.manifest_answer import FetchedManifest, check_entries, described, fetched
from tasks.registry.manifest_upload import ManifestUpload
from tasks.registry.repository.access import ACCEPT, DONE, UNANSWERED, Access


class Manifests(Access):
    """The manifests of one repository, by tag or digest."""

    def resolve(self, reference: str) -> Descriptor | None:
        """Return the descriptor of a tag or digest, None if absent ("Checking if content exists in the registry").

        If a registry does not answer HEAD, or says too little, the whole manifest is fetched. The digest of a tag is
        its sha256, whatever algorithm the registry announces: two registries can then be compared.
        """
        return self._resolve(reference, retry=True)

    def digest_at(self, tag: str) -> Digest | None:
        """Return the digest that a tag holds, as `resolve` announces it, None for an absent tag."""
        described = self.resolve(tag)
        return described.digest if described is not None else None

    def fetch_manifest(self, reference: str, accept: str | None = None) -> FetchedManifest:
        """Return the manifest of a tag or digest, for a tag with its sha256 ("Pulling manifests").

        `accept` is the only media type that the registry may answer with; some make another manifest fit.
        Raises NotFound, ContentMismatch, ResponseInvalid for a manifest that is too large, ManifestInvalid.
        """
        try:
            return self._fetch_manifest(reference, retry=True, accept=accept)
        except ImagePusherError as error:
            self._transport.policy.blame(error)
            raise

    def push_manifest(self, reference: str, content: bytes, media_type: str, *, over: Digest | None = None) -> bool:
        """Store a manifest under a tag or its digest ("Pushing manifests").

        `over` is the digest that the caller read at the tag, None for an absent tag. Raises TagConflict, and leaves
        the tag alone, if after a try of unknown outcome it holds neither `over` nor this manifest. Raises
        CopyIncomplete if the registry misses a part of the manifest, whatever its answer (BEHAVIOUR 5.5),
        ContentMismatch if it stored another manifest, and DestinationError for a manifest above the size limit of
        reads: it could be written once, but never merged again. Returns whether the registry said that it lists the
        manifest among the referrers of its subject (`OCI-Subject`).
        """
        listed = False
        if len(content) > self._transport.limits.manifest_bytes:
            raise DestinationError(
                f"The manifest for {self}:{reference} has {len(content)} bytes, and at most"
                f" {self._transport.limits.manifest_bytes} are read (http.manifest_bytes). It was not written."
            )

        def put() -> Response:
            nonlocal listed
            response = self._write(
                "PUT",
                f"manifests/{reference}",
                headers={"Content-Type": media_type},
                body=content,
                expect=DONE | {400, 404},
                retry=False,
            )
            listed = bool(response.headers.get("OCI-Subject"))
            return response

        upload = ManifestUpload(
            str(self),
            reference,
            content,
            over,
            put,
            lambda: self._resolve(reference, retry=False),
            lambda: self.missing_parts(content, media_type),
        )
        self._transport.policy.run(upload.attempt)
        return listed

    def missing_parts(self, content: bytes, media_type: str) -> list[Digest]:
        """Return the parts of a manifest that this repository lacks, none for content that is no manifest."""
        try:
            needs = successors(parse_document(content, media_type))
        except SourceError:
            return []
        wanted = {each.digest: f"manifests/{each.digest}" for each in needs.manifests}
        wanted |= {each.digest: f"blobs/{each.digest}" for each in needs.blobs}
        return [digest for digest, path in wanted.items() if self._is_missing(path)]

    def _is_missing(self, path: str) -> bool:
        """Tell whether the registry reports a path as absent; an unclear answer counts as present."""
        return self._read("HEAD", path, headers=ACCEPT, expect={200, 404, *UNANSWERED}).status == HTTPStatus.NOT_FOUND

    def delete_manifest(self, digest: Digest) -> None:
        """Delete a manifest and with it all of its tags ("Deleting manifests"); an absent manifest is no error."""
        self._write("DELETE", f"manifests/{digest}", expect=DONE | {404})

    def _resolve(self, reference: str, *, retry: bool) -> Descriptor | None:
        expect = {200, 404, *UNANSWERED}
        response = self._read("HEAD", f"manifests/{reference}", headers=ACCEPT, expect=expect, retry=retry)
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        found = described(reference, response)
        if found is not None:
            return found
        try:
            whole = self._fetch_manifest(reference, retry=retry)
        except NotFound:
            return None
        return Descriptor(whole.media_type, whole.digest, len(whole.content))

    def _fetch_manifest(self, reference: str, *, retry: bool, accept: str | None = None) -> FetchedManifest:
        limit = self._transport.limits.manifest_bytes
        headers = ACCEPT if accept is None else {"Accept": accept}
        response = self._read("GET", f"manifests/{reference}", headers=headers, limit=limit, retry=retry)
        found = fetched(str(self), reference, response)
        check_entries(f"{self}:{reference}", found, self._transport.limits.index_entries)
        return found
