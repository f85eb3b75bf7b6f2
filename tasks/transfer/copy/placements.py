"""Memory of a process: where blobs are, and how registries mount (BEHAVIOUR 5.1, 5.4)."""

import threading
import time
from collections.abc import Callable
from typing import Final

from tasks.oci.descriptor import Descriptor
from tasks.registry.repository import Repository

# Much shorter than the time for which any registry keeps an unreferenced blob.
_FRESH_SECONDS: Final = 600.0
_MOST_FRESH: Final = 100_000
_ANY: Final = ""


class Placements:
    """The blobs that this process placed or found moments ago, and how registries mount; shared by threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._placed: dict[tuple[str, str], float] = {}
        self._read: dict[tuple[str, str], float] = {}
        self._denied: dict[tuple[str, str], float] = {}
        self._finding: dict[str, bool] = {}

    def add(self, blob: Descriptor, destination: Repository) -> None:
        """Note that `destination` holds `blob`."""
        with self._guard:
            if len(self._placed) >= _MOST_FRESH:
                self._placed.clear()
            self._placed[str(destination), blob.digest] = self._clock()

    def has(self, blob: Descriptor, destination: Repository) -> bool:
        """Tell whether `destination` held `blob` moments ago."""
        with self._guard:
            return self._is_fresh(self._placed.get((str(destination), blob.digest)))

    def add_read(self, blob: Descriptor, source: Repository) -> None:
        """Note that `source` delivered all bytes of `blob`."""
        self.add(blob, source)
        with self._guard:
            if len(self._read) >= _MOST_FRESH:
                self._read.clear()
            self._read[source.registry, blob.digest] = self._clock()

    def was_read(self, blob: Descriptor, source: Repository) -> bool:
        """Tell whether any repository of the registry of `source` delivered `blob` moments ago."""
        with self._guard:
            return self._is_fresh(self._read.get((source.registry, blob.digest)))

    def forget(self, destination: Repository) -> None:
        """Forget the blobs of a repository that turned out to lack some of them, and let it mount nothing.

        A blob that is missing may be one that a mount reported as present.
        """
        with self._guard:
            for key in [key for key in self._placed if key[0] == str(destination)]:
                del self._placed[key]
            self._finding[destination.registry] = False
            self._denied[str(destination), _ANY] = self._clock()

    def deny(self, destination: Repository, origin: str = _ANY) -> None:
        """Note that the registry lets `destination` mount nothing from `origin`, or from any repository by default."""
        with self._guard:
            self._denied[str(destination), origin] = self._clock()

    def allow(self, destination: Repository) -> None:
        """Take back the note that `destination` can mount from no repository."""
        with self._guard:
            self._denied.pop((str(destination), _ANY), None)

    def is_denied(self, destination: Repository, origin: str) -> bool:
        """Tell whether a mount from `origin` was denied not long ago."""
        with self._guard:
            return any(self._is_fresh(self._denied.get((str(destination), each))) for each in (origin, _ANY))

    def is_new(self, registry: str) -> bool:
        """Tell, once for each registry, whether to find out what a mount from the same repository shows."""
        with self._guard:
            is_new = registry not in self._finding
            self._finding.setdefault(registry, False)
            return is_new

    def trust(self, registry: str) -> None:
        """Note that a mount from the same repository shows if a blob is there."""
        with self._guard:
            self._finding[registry] = True

    def knows(self, registry: str) -> bool:
        """Tell whether the meaning of a mount from the same repository is known, or is being found out."""
        with self._guard:
            return registry in self._finding

    def finds_by_mount(self, registry: str) -> bool:
        """Tell whether a mount from the same repository shows if a blob is there."""
        with self._guard:
            return self._finding.get(registry, False)

    def distrust(self, registry: str) -> None:
        """Note that mounts do not show which blobs are there."""
        with self._guard:
            self._finding[registry] = False

    def _is_fresh(self, since: float | None) -> bool:
        return since is not None and self._clock() - since < _FRESH_SECONDS
