"""What a destination holds, asked of registries that are near and far away."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks.oci.digest import Digest, digest_of
from tasks.transfer.publish.held_manifests import Sightings

DIGESTS = [digest_of(bytes([number])) for number in range(6)]


class Repository:
    """A repository that lacks some manifests, and takes its time; it counts those who ask at once."""

    def __init__(self, lacks: set[Digest], seconds: float, together: int) -> None:
        self.now = 0.0
        self.most = self._asking = 0
        self._lacks = lacks
        self._seconds = seconds
        self._guard = threading.Lock()
        self._others = threading.Barrier(together)

    def __str__(self) -> str:
        return "b.example/app"

    def resolve(self, digest: Digest) -> object | None:
        with self._guard:
            self._asking += 1
            self.most = max(self.most, self._asking)
            self.now += self._seconds
        if digest != DIGESTS[0]:
            self._others.wait(60)
        with self._guard:
            self._asking -= 1
        return None if digest in self._lacks else object()


@pytest.mark.parametrize(("seconds", "together"), [(0.001, 1), (0.02, 5)], ids=["near", "far"])
def test_a_registry_that_is_far_away_is_asked_for_the_rest_at_once(seconds: float, together: int) -> None:
    repository: Any = Repository({DIGESTS[1], DIGESTS[4]}, seconds, together)
    with ThreadPoolExecutor(8) as executor:
        seen = Sightings(executor, lambda: repository.now)
        assert seen.lacking(repository, [*DIGESTS, DIGESTS[0]]) == {DIGESTS[1], DIGESTS[4]}
    assert repository.most == together


def test_the_first_error_is_raised() -> None:
    class Broken(Repository):
        def resolve(self, digest: Digest) -> object | None:
            if digest in DIGESTS[2:4]:
                raise ValueError(DIGESTS.index(digest))
            return super().resolve(digest)

    repository: Any = Broken(set(), 0.02, 1)
    with ThreadPoolExecutor(8) as executor, pytest.raises(ValueError, match=r"^2$"):
        Sightings(executor, lambda: repository.now).lacking(repository, DIGESTS)
