"""The digest that a tag holds, before a write and after it (BEHAVIOUR 7.2)."""

import time
from typing import Final

from tasks.errors import ContentMismatch, ManifestInvalid, NotFound
from tasks.oci.digest import Digest
from tasks.registry.repository import Repository

# The pauses, in seconds, between looks at a tag that still holds what was overwritten.
_LAGS: Final = (0.2, 0.8, 2.0)


class HeldDigest:
    """The digest that one tag holds."""

    def __init__(self, repository: Repository, tag: str) -> None:
        self._repository = repository
        self._tag = tag

    def now(self, *expected: Digest | None) -> Digest | None:
        """Return the digest that the tag holds.

        Some registries announce another digest than that of the manifest that they serve: the manifest counts.
        """
        found = self._repository.digest_at(self._tag)
        if found is None or found in expected:
            return found
        try:
            return self._repository.fetch_manifest(self._tag).digest
        except NotFound:
            return None
        except (ContentMismatch, ManifestInvalid):
            return found

    def after(self, written: Digest, over: Digest | None) -> Digest | None:
        """Return the digest that the tag holds after a write; some registries show a write only after a moment."""
        found = self.now(written)
        for pause in _LAGS:
            if found != over or found == written:
                break
            time.sleep(pause)
            found = self.now(written)
        return found
