"""Store blobs that are in memory."""

import msgspec

from tasks.oci.descriptor import Descriptor
from tasks.registry.repository import Repository


class _BytesReader(msgspec.Struct):
    """A reader of a blob in memory."""

    content: bytes
    position: int = 0

    def reopen(self, offset: int) -> None:
        self.position = offset

    def read_piece(self) -> bytes:
        piece, self.position = self.content[self.position :], len(self.content)
        return piece


def store_blob(repository: Repository, content: bytes, described: Descriptor) -> None:
    """Store a blob unless it is there; raises RegistryError."""
    if not repository.has_blob(described):
        repository.blob_upload(described, _BytesReader(content), lambda _: None).run()
