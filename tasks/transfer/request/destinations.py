"""The destinations of the items of a request (BEHAVIOUR 1.2, 1.5)."""

from collections.abc import Mapping, Sequence

import msgspec

from tasks.oci.digest import parse_digest
from tasks.oci.reference import Reference, parse_tag, without_transport
from tasks.transfer.request.decode import named
from tasks.transfer.request.faults import Faults
from tasks.transfer.request.target import Target
from tasks.transfer.request.valid import ValidItem


class Destination(msgspec.Struct, frozen=True):
    """A destination, and the field and repository of the request that name it."""

    field: str
    requested: str
    reference: Reference


class CheckedItem(msgspec.Struct, frozen=True):
    """An item, and the origin of its destinations."""

    item: ValidItem
    destinations: tuple[Destination, ...]


def names_of(destination: Destination) -> tuple[str, str]:
    """Return the names by which an expectation may mean a destination: TAG, or REPOSITORY:TAG."""
    tag = destination.reference.tag or ""
    return tag, f"{destination.requested}:{tag}"


def read_destinations(
    repositories: Mapping[str, Sequence[str]], where: str, target: Target | None, faults: Faults
) -> tuple[Destination, ...]:
    """Return the destinations of an item; `where` is the field that holds them."""
    if not repositories and not faults.has(where):
        faults.add(where, "is empty")
    destinations = []
    for name, tags in repositories.items():
        here, repository = named(where, name), without_transport(name)
        reference = None
        if "@" in repository:
            faults.add(here, "must be a repository: neither a digest nor credentials belong into its name")
        elif target is not None:
            reference = faults.read(here, target.reference, repository)
        if not tags and not faults.has(here):
            faults.add(here, "has no tags")
        for tag in tags:
            tagged = faults.read(here, _parse_tag, tag)
            if reference is not None and tagged is not None:
                full = msgspec.structs.replace(reference, tag=tagged.tag, digest=tagged.digest)
                destinations.append(Destination(here, repository, full))
    return tuple(destinations)


def _parse_tag(text: str) -> Reference:
    """Return a tag, or a digest in its place, as the end of a reference; raises ValueError."""
    if text.startswith("sha256:"):
        return Reference("", "", digest=parse_digest(text))
    return Reference("", "", tag=parse_tag(text))


def refuse_collisions(items: Sequence[CheckedItem], faults: Faults) -> None:
    """Note a fault if two destinations map to one reference, unless two items merge there (BEHAVIOUR 1.2, 1.5)."""
    taken: dict[Reference, tuple[int, str]] = {}
    for number, checked in enumerate(items):
        for destination in checked.destinations:
            first, requested = taken.setdefault(destination.reference, (number, destination.requested))
            if (first, requested) == (number, destination.requested):
                continue
            if requested == destination.requested and _may_share(items[first].item, checked.item):
                continue
            faults.of(number).add(
                destination.field,
                f"{destination.reference} is also the destination {requested!r} of item {first}",
            )


def refuse_digests(items: Sequence[CheckedItem], faults: Faults) -> None:
    """Note a fault for each digest in place of a tag: an atomic push could not undo its write (BEHAVIOUR 1.4)."""
    for number, checked in enumerate(items):
        for destination in checked.destinations:
            if destination.reference.digest is not None:
                faults.of(number).add(destination.field, "has a digest for a tag: an atomic push moves tags only")


def _may_share(first: ValidItem, second: ValidItem) -> bool:
    """Tell whether two items may go to one tag: they are equal, or neither overwrites."""
    return first == second or not (first.overwrites or second.overwrites)
