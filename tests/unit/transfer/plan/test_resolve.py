"""What planning does where the state of the workers cannot be asked (BEHAVIOUR 7.5)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks import contract
from tasks.errors import StateUnavailable
from tasks.registry.manifest_answer import FetchedManifest
from tasks.transfer.plan.resolve import prepare
from tasks.transfer.plan.tag_facts import NoFacts
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

    def foresee(self, *_: Any, **__: Any) -> None:
        """Know of no API of a product."""

    def require_push(self) -> None:
        """Let everybody push."""


def test_a_push_whose_holds_cannot_be_read_is_given_back_and_fails_no_tag() -> None:
    request, clients = read({"items": [item(referrers="none")]}), Clients()
    with ThreadPoolExecutor(1) as executor:
        _, ((tag,),), _ = prepare(request, clients, executor, push=True)  # type: ignore[arg-type]
        assert (tag.action, tag.error) == ("copied", None)
        with pytest.raises(StateUnavailable):
            prepare(request, clients, executor, push=True, facts=Away())  # type: ignore[arg-type]
