"""The manifests that a destination holds, asked once for tags that move at about the same time."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Final

from tasks.oci.digest import Digest
from tasks.registry.repository import Repository
from tasks.transfer.publish.key_locks import Turns

# Far shorter than the time for which any registry's garbage collection spares new untagged manifests.
_FRESH_SECONDS: Final = 20.0
# A registry that answers sooner is asked one question after the other: threads would take longer than it does.
_NEAR_SECONDS: Final = 0.005


class Sightings:
    """The manifests found moments ago, by repository; absence is never remembered. Threads share it.

    `executor` is for the questions to a registry that is far away; no work on it may wait for other work on it.
    """

    def __init__(self, executor: Executor, clock: Callable[[], float] = time.monotonic) -> None:
        self._executor = executor
        self._clock = clock
        self._guard = threading.Lock()
        self._turns = Turns()
        self._seen: dict[tuple[str, Digest], float] = {}

    def lacking(self, repository: Repository, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Return the manifests that `repository` does not hold; raises RegistryError."""
        ask, found = list(dict.fromkeys(digests)), list[bool]()
        while len(found) < len(ask):
            begun = self._clock()
            found.append(self.holds(repository, ask[len(found)]))
            if self._clock() - begun > _NEAR_SECONDS:
                found += self._executor.map(lambda digest: self.holds(repository, digest), ask[len(found) :])
        return frozenset(digest for digest, held in zip(ask, found, strict=True) if not held)

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
