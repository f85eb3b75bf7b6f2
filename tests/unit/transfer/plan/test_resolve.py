"""What planning does where the state of the workers cannot be asked (BEHAVIOUR 7.5)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks import contract
from tasks.errors import StateUnavailable
from tasks.oci.descriptor import Descriptor
from tasks.registry.manifest_answer import FetchedManifest
from tasks.transfer.plan.resolve import resolve
from tasks.transfer.plan.tag_facts import NoFacts, TagRelease
from tests.unit.oci.listing import image, index
from tests.unit.transfer.plan.sources import of_index
from tests.unit.transfer.request.requests import item, read


class Away(NoFacts):
    def hold_of(self, reference: str) -> contract.Hold | None:
        raise StateUnavailable(f"{reference} cannot be asked for.")


class Clients:
    """A source with one index, and a destination without tags."""

    def repository(self, *_: Any, **__: Any) -> "Clients":
        return self

    def fetch_manifest(self, reference: str) -> FetchedManifest:
        del reference
        source = of_index(index(image("amd", "linux/amd64")))
        return FetchedManifest(source.content, source.media_type, source.digest)

    def resolve(self, reference: str) -> None:
        del reference

    def require_writable(self, *_: Any, **__: Any) -> None:
        """Know of no API of a product."""

    def require_push(self) -> None:
        """Let everybody push."""


def test_a_push_whose_holds_cannot_be_read_is_given_back_and_fails_no_tag() -> None:
    request, clients = read({"items": [item(referrers="none")]}), Clients()
    with ThreadPoolExecutor(1) as executor:
        ((tag,),) = resolve(request, clients, executor, push=True).tags  # type: ignore[arg-type]
        assert (tag.action, tag.error) == ("copied", None)
        with pytest.raises(StateUnavailable):
            resolve(request, clients, executor, push=True, facts=Away())  # type: ignore[arg-type]


class Holding(Clients):
    """A destination whose tag holds the index, or another one."""

    def __init__(self, seed: str = "amd") -> None:
        self._held = of_index(index(image(seed, "linux/amd64")))

    def resolve(self, reference: str) -> Any:
        del reference
        return Descriptor(self._held.media_type, self._held.digest, len(self._held.content))


class Releases(NoFacts):
    """The release that is noted at the tag, at each look."""

    def __init__(self, *found: TagRelease | None) -> None:
        self._found = list(found)

    def release_at(self, reference: str) -> TagRelease | None:
        del reference
        return self._found.pop(0) if len(self._found) > 1 else self._found[0]


STILL: list[tuple[TagRelease | None, ...]] = [
    (None,),
    (TagRelease("r", "push", None),),
    (TagRelease("r", "push", "stands"),),
    (TagRelease("r", "push", "back", has_ended=True),),
]
MOVING: list[tuple[TagRelease | None, ...]] = [
    *((TagRelease("r", "push", each),) for each in ("forward", "back", "return", "again")),
    (TagRelease("r", "push", None), TagRelease("r", "push", "back", has_ended=True)),
    (None, TagRelease("r", "push", "stands")),
]


@pytest.mark.parametrize("releases", [*STILL, *MOVING])
def test_what_a_release_may_put_back_is_judged_under_the_lock(releases: tuple[TagRelease | None, ...]) -> None:
    """Rule 10.1: a tag of half a release is neither right, nor does it break a condition, before the release ended."""
    expecting = item(referrers="none", merge=False, expect={"1": "absent"})
    for wanted, clients, action in (
        (item(referrers="none"), Holding(), "unchanged"),
        (expecting, Holding("x"), "failed"),
    ):
        request, facts = read({"items": [wanted]}), Releases(*releases)
        with ThreadPoolExecutor(1) as executor:
            ((tag,),) = resolve(request, clients, executor, push=True, facts=facts).tags  # type: ignore[arg-type]
        assert tag.action == ("copied" if releases in MOVING else action)
        assert (tag.error is None) == (tag.action != "failed")
