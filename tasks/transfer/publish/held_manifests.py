"""The manifests that a destination holds, asked once for tags that move at about the same time."""

import threading
import time
from collections.abc import Callable
from typing import Final

from tasks.oci.digest import Digest
from tasks.registry.repository import Repository
from tasks.transfer.publish.key_locks import Turns

# Far shorter than the time for which any registry's garbage collection spares new untagged manifests.
_FRESH_SECONDS: Final = 20.0


class Sightings:
    """The manifests found moments ago, by repository; absence is never remembered. Threads share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._turns = Turns()
        self._seen: dict[tuple[str, Digest], float] = {}

    def holds(self, repository: Repository, digest: Digest) -> bool:
        """Tell whether `repository` holds the manifest; raises RegistryError."""
        key = (str(repository), digest)
        with self._turns.hold(key):
            with self._guard:
                if self._clock() - self._seen.get(key, float("-inf")) < _FRESH_SECONDS:
                    return True
            if repository.resolve(digest) is None:
                return False
            with self._guard:
                self._seen[key] = self._clock()
            return True

    def forget(self, repository: Repository) -> None:
        """Forget the findings in a repository that turned out to lack some of them."""
        with self._guard:
            self._seen = {key: since for key, since in self._seen.items() if key[0] != str(repository)}
