"""The proof that a source holds a blob, before it is mounted from somebody else's repository (BEHAVIOUR 5.1).

A manifest may name a blob of a private repository. A hostile source may claim to hold that blob: the claim needs only
the digest and the size. So the source has to show bytes of the blob:

| the blob                                       | the source shows                    | requests beside the mount  |
|------------------------------------------------|-------------------------------------|----------------------------|
| this process read it from the same registry    | that the repository has it (HEAD)   | one at the source          |
| it is at the source's own registry             | likewise                            | one at the source          |
| it is small                                    | all of it, verified by its digest   | one at the source          |
| otherwise                                      | a part that is drawn at random, as  | one at the source, one at  |
|                                                | the other repository has it         | the destination            |

A part that is easily guessed, such as a run of zeros, proves nothing: then the bytes are copied.
"""

import zlib
from typing import Final

from tasks.errors import ContentMismatch
from tasks.oci.descriptor import Descriptor
from tasks.registry.repository import Repository
from tasks.transfer.copy.placements import Placements

WHOLE_BYTES: Final = 64 << 10
PART_BYTES: Final = 1024
# What a part must fill when it is compressed: nobody guesses so many bytes.
_TELLING_BYTES: Final = 64


def shows(source: Repository, blob: Descriptor, origin: Repository, placements: Placements) -> bool:
    """Tell whether the source showed that it holds a blob that `origin`, a repository of a destination, holds.

    Raises RegistryError.
    """
    if source.registry == origin.registry or placements.was_read(blob, source):
        return source.has_blob(blob)
    if blob.size <= WHOLE_BYTES:
        try:
            source.read_blob(blob, WHOLE_BYTES)
        except ContentMismatch:
            return False
        return True
    # Few blobs come from somebody else.
    import secrets  # noqa: PLC0415

    offset = secrets.randbelow(blob.size - PART_BYTES + 1)
    shown = source.sample_blob(blob, offset, PART_BYTES)
    if shown is None or len(zlib.compress(shown)) < _TELLING_BYTES:
        return False
    return shown == origin.sample_blob(blob, offset, PART_BYTES)
