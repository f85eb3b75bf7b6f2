"""Which tags hold a manifest: a registry that deletes no tags would take them along with it (BEHAVIOUR 10.1)."""

import threading
from collections.abc import Collection

from tasks.oci.digest import Digest
from tasks.registry.repository import Repository


class Holders:
    """The tags of a repository that hold a manifest, looked for once in a release; threads share it.

    `own` are the full names of the tags that an earlier delivery of the release may have given it.
    """

    def __init__(self, own: Collection[str] = ()) -> None:
        self._own = own
        self._found: dict[tuple[str, Digest], str | None] = {}
        self._guard = threading.Lock()

    def find(self, repository: Repository, digest: Digest) -> str | None:
        """Return a tag that holds the manifest, None if no tag but those of the release does."""
        key = (str(repository), digest)
        with self._guard:
            if key not in self._found:
                self._found[key] = self._look(repository, digest)
            return self._found[key]

    def _look(self, repository: Repository, digest: Digest) -> str | None:
        if repository.resolve(digest) is None:
            return None
        for tag in repository.tags():
            if f"{repository}:{tag}" not in self._own and repository.digest_at(tag) == digest:
                return tag
        return None
