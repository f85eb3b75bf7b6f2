"""The blobs of one repository."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from urllib.parse import urlencode

from tasks.errors import ContentMismatch, ResponseInvalid
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Verifier
from tasks.registry.blob.reader import BlobReader
from tasks.registry.blob.requests import UploadRequests, cancel_upload
from tasks.registry.blob.sample import read_sample
from tasks.registry.blob.session import UploadSession, session_of
from tasks.registry.blob.upload import BlobUpload
from tasks.registry.blob.verified import Reader
from tasks.registry.http.exchange import Request
from tasks.registry.http.length import declared_length
from tasks.registry.repository.access import UNANSWERED, Access, scopes


class Blobs(Access):
    """The blobs of one repository: looked for, read, mounted, stored."""

    def blob_size(self, digest: str) -> int | None:
        """Return the size of a blob, 0 if the registry does not say, None if the blob is not known to exist."""
        path = f"blobs/{digest}"
        response = self._read("HEAD", path, expect={200, 404, *UNANSWERED})
        if response.status in UNANSWERED:
            return self._glance(path)
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        return declared_length(response.headers) or 0

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Tell whether a blob exists, and has the descriptor's size if the registry names a size."""
        return self.blob_size(descriptor.digest) in {descriptor.size, 0}

    def _glance(self, path: str) -> int | None:
        """Return 0 for a present blob, None for an absent one, by a GET: for a registry that does not answer HEAD."""
        expect = {200, 206, 404, 416, *UNANSWERED}
        response = self._read("GET", path, headers={"Range": "bytes=0-0"}, expect=expect, stream=True)
        if response.incoming is not None:
            response.incoming.close()
        return 0 if response.status in {200, 206, 416} else None

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """Return an open reader of a blob, its bytes not verified; raises NotFound ("Pulling blobs")."""
        path, policy = f"blobs/{descriptor.digest}", self._transport.policy
        fetch = partial(self._read, "GET", path, expect={200, 206, 416}, stream=True, retry=False)
        reader = BlobReader(f"{self}@{descriptor.digest}", descriptor.size, fetch, policy, self._transport.limits)
        for attempt in policy.attempts():
            with attempt:
                reader.connect()
        return reader

    def sample_blob(self, descriptor: Descriptor, offset: int, length: int) -> bytes | None:
        """Return a part of a blob, not verified; None if the blob is absent, or the registry gives no part of it."""
        expect = {200, 206, 404, 416, *UNANSWERED}
        fetch = partial(self._read, "GET", f"blobs/{descriptor.digest}", expect=expect, stream=True, retry=False)
        seconds = self._transport.limits.answer_timeout
        return self._transport.policy.run(lambda: read_sample(fetch, descriptor.size, offset, length, seconds))

    def read_blob(self, descriptor: Descriptor, limit: int) -> bytes:
        """Return a small blob, verified; raises ResponseInvalid above `limit` bytes, ContentMismatch."""
        side = self._transport.policy.side
        if descriptor.size > limit:
            raise ResponseInvalid(f"{self}@{descriptor.digest} has more than {limit} bytes.", side=side)
        verifier = Verifier(descriptor.digest, descriptor.size)
        content = bytearray()
        with self.open_blob(descriptor) as reader:
            while piece := reader.read_piece():
                verifier.update(piece)
                content += piece
        if not verifier.verified:
            raise ContentMismatch(f"{self} served other bytes than those of the blob {descriptor.digest}.", side=side)
        return bytes(content)

    def mount_blob(self, digest: str, from_repository: str) -> UploadSession | None:
        """Mount a blob of another repository into this one ("Mounting a blob from another repository").

        Returns None on success; otherwise the registry wants the bytes, in the returned session.
        """
        query = urlencode({"mount": digest, "from": from_repository}, safe=":/")
        response = self._transport.send(
            Request(
                method="POST",
                target=f"/v2/{self.name}/blobs/uploads/?{query}",
                repository=self.name,
                scopes=self._writing | (scopes(from_repository, "pull") - scopes(self.name, "pull")),
                body=b"",
                expect={201, 202},
            )
        )
        return session_of(response) if response.status == HTTPStatus.ACCEPTED else None

    def blob_upload(
        self,
        descriptor: Descriptor,
        reader: Reader,
        progress: Callable[[int], None],
        session: UploadSession | None = None,
    ) -> BlobUpload:
        """Return the upload of the bytes of `reader` as a blob, in the session of a failed mount or a new one.

        `progress` gets the number of bytes done, and may raise to end the upload ("Pushing blobs").
        """
        return BlobUpload(self._transport, self.name, self._writing, descriptor, reader, progress, session)

    def cancel_upload(self, session: UploadSession) -> None:
        """Cancel the session of a failed mount; the registry's answer is ignored."""
        requests = UploadRequests(self.name, self._writing, self._transport.limits.commit_timeout)
        cancel_upload(self._transport, requests, session)
