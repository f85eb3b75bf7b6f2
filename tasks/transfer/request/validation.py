"""A request, checked whole before anything is written (BEHAVIOUR section 1)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from tasks import contract
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference, parse_tag, without_transport
from tasks.transfer.request import pubtools as seed
from tasks.transfer.request.faults import Faults
from tasks.transfer.request.target import Target

_REQUEST_KEYS: Final = frozenset(contract.PushRequest.__struct_fields__)
_ITEM_KEYS: Final = frozenset(contract.PushItem.__struct_fields__)
_PUSH_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One valid item: every destination is a full reference with a tag, each once."""

    source: Reference
    destinations: tuple[Reference, ...]
    kind: contract.RequestedKind = "auto"
    single_arch: contract.SingleArch = "merge"
    platforms: tuple[Platform, ...] = ()
    merge: bool = True


@dataclass(frozen=True, slots=True)
class Order:
    """A valid request."""

    items: tuple[OrderItem, ...]
    target: Target
    atomic: contract.Atomic | None = None
    push_id: str | None = None
    warnings: tuple[str, ...] = ()


def read_order(request: Any, targets: Mapping[str, Target]) -> Order:
    """Return the order that a request v1 describes; raises RequestInvalid with all its faults."""
    faults = Faults()
    warnings: list[str] = []
    document = faults.expect("request", request, dict, "an object") or {}
    faults.raise_any()
    faults.unknown("", document, _REQUEST_KEYS)
    push_id = document.get("push_id")
    if push_id is not None and not (isinstance(push_id, str) and _PUSH_ID.fullmatch(push_id)):
        faults.add("push_id", "must be a string of at most 128 letters, digits, '.', '_', ':' and '-'")
    if document.get("atomic") is not None:
        faults.choose("atomic", document["atomic"], get_args(contract.Atomic))
    target = _target(document, targets, faults, warnings)
    items = {number: _item(item, form, target, faults.of(number)) for number, form, item in _items(document, faults)}
    _refuse_collisions({number: item.destinations for number, item in items.items()}, faults)
    faults.raise_any()
    return Order(
        tuple(_destinations_once(item) for item in items.values()),
        target or Target(),
        document.get("atomic"),
        push_id,
        tuple(warnings),
    )


@dataclass(frozen=True, slots=True)
class _Form:
    """How a form of items calls what every item has."""

    source: str
    destinations: str


_NATIVE: Final = _Form("source", "destinations")
_SEED: Final = _Form("metadata.pull_url", "metadata.tags")


@dataclass(frozen=True, slots=True)
class _Destination:
    """A destination, and the field and repository of the request that led to it."""

    field: str
    requested: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class _Item:
    source: Reference
    destinations: tuple[_Destination, ...]
    options: dict[str, Any]


def _target(
    document: dict[str, Any], targets: Mapping[str, Target], faults: Faults, warnings: list[str]
) -> Target | None:
    """Return the target of the request, None where it is at fault."""
    name, settings = document.get("target"), document.get("target_settings")
    before = len(faults.found)
    target = Target()
    if name is not None and settings is not None:
        faults.add("target", "is given beside target_settings: one of them describes the target")
    elif name is not None:
        known = faults.expect("target", name, str, "a string")
        if known is not None and known not in targets:
            configured = ", ".join(sorted(targets)) or "none"
            faults.add("target", f"{known[:100]!r} is not a configured target (configured: {configured})")
        target = targets.get(known or "", target)
    elif settings is not None and (said := faults.expect("target_settings", settings, dict, "an object")) is not None:
        target = seed.read_target(said, faults, warnings)
    return target if len(faults.found) == before else None


def _items(document: dict[str, Any], faults: Faults) -> Iterator[tuple[int, _Form, dict[str, Any]]]:
    """Yield the items of either form as native ones, with their number; what is no object is left out, with a fault."""
    native, foreign = document.get("items"), document.get("push_items")
    if (native is None) == (foreign is None):
        faults.add("items", "is missing" if native is None else "is given beside push_items: one form is due")
        return
    where, form, said = ("push_items", _SEED, foreign) if native is None else ("items", _NATIVE, native)
    entries = faults.expect(where, said, list, "a list")
    if entries == []:
        faults.add(where, "is empty")
    for number, entry in enumerate(entries or []):
        of_item = faults.of(number)
        item = of_item.expect("item", entry, dict, "an object")
        if item is not None and form is _SEED:
            item = _native_form(item, of_item)
        elif item is not None:
            of_item.unknown("", item, _ITEM_KEYS)
        if item is not None:
            yield number, form, item


def _native_form(entry: dict[str, Any], faults: Faults) -> dict[str, Any] | None:
    """Return a push item of the seed in the native form (BEHAVIOUR 1.1); None, with faults, if it has no metadata."""
    metadata = faults.expect("metadata", entry.get("metadata"), dict, "an object")
    if metadata is None:
        return None
    return {
        "source": metadata.get("pull_url"),
        "destinations": metadata.get("tags"),
        "kind": "source" if _marks_source(metadata.get("build"), faults) else "auto",
        "single_arch": "refuse",
    }


def _marks_source(build: Any, faults: Faults) -> bool:
    """Tell whether a build is that of a source image: `extra.image.sources_for_nvr` is truthy."""
    where, marks = "metadata.build", build
    for key in ("extra", "image", "sources_for_nvr"):
        if marks is None:
            return False
        known = faults.expect(where, marks, dict, "an object")
        if known is None:
            return False
        where, marks = f"{where}.{key}", known.get(key)
    return bool(marks)


def _item(item: dict[str, Any], form: _Form, target: Target | None, faults: Faults) -> _Item:
    text = faults.expect(form.source, item.get("source"), str, "a string")
    source = None
    if text is not None:
        source = faults.read(form.source, Reference.parse, without_transport(text))
        if source is not None and not source.identifier:
            faults.add(form.source, f"{text!r} has neither a tag nor a digest")
    faults.choose("kind", item.get("kind", "auto"), get_args(contract.RequestedKind))
    faults.choose("single_arch", item.get("single_arch", "merge"), get_args(contract.SingleArch))
    merge = faults.expect("merge", item.get("merge", True), bool, "a boolean")
    named = faults.expect("platforms", item.get("platforms", []), list, "a list") or []
    platforms = []
    for name in named:
        known = faults.expect("platforms", name, str, "a string")
        platform = None if known is None else faults.read("platforms", Platform.parse, known)
        platforms += [] if platform is None else [platform]
    if named and item.get("kind") == "source":
        faults.add("platforms", "cannot be chosen for a source image: it is copied as it is")
    return _Item(
        source or Reference("", ""),
        _destinations(item.get("destinations"), form.destinations, target, faults),
        {
            "kind": item.get("kind", "auto"),
            "single_arch": item.get("single_arch", "merge"),
            "platforms": tuple(platforms),
            "merge": merge,
        },
    )


def _destinations(value: Any, where: str, target: Target | None, faults: Faults) -> tuple[_Destination, ...]:
    repositories = faults.expect(where, value, dict, "an object of repositories with lists of tags")
    if repositories == {}:
        faults.add(where, "is empty")
    destinations = []
    for name, listed in (repositories or {}).items():
        here = f"{where}.{_shown(str(name))}"
        known_name = faults.expect(here, name, str, "a string")
        repository = None if known_name is None else without_transport(known_name)
        reference = None
        if repository is not None and "@" in repository:
            faults.add(here, "must be a repository: neither a digest nor credentials belong into its name")
        elif target is not None and repository is not None:
            reference = faults.read(here, target.reference, repository)
        tags = faults.expect(here, listed, list, "a list of tags")
        if tags == []:
            faults.add(here, "has no tags")
        for tag in tags or []:
            known = faults.expect(here, tag, str, "a list of strings")
            valid = None if known is None else faults.read(here, parse_tag, known)
            if reference is not None and valid is not None:
                destinations.append(_Destination(here, repository or "", replace(reference, tag=valid)))
    return tuple(destinations)


def _shown(repository: str) -> str:
    """Return a repository as a fault names it: what stands before an '@' may be a user with a password."""
    _, at, rest = repository.rpartition("@")
    return f"{'…' + at if at else ''}{rest}"[:300]


def _refuse_collisions(destinations: Mapping[int, tuple[_Destination, ...]], faults: Faults) -> None:
    """Note a fault where two destinations of the request map to one reference."""
    taken: dict[Reference, tuple[int, str]] = {}
    for number, of_item in destinations.items():
        for destination in of_item:
            mine = (number, destination.requested)
            first = taken.setdefault(destination.reference, mine)
            if first != mine:
                faults.of(number).add(
                    destination.field,
                    f"{destination.reference} is also the destination {first[1]!r} of item {first[0]}",
                )


def _destinations_once(item: _Item) -> OrderItem:
    once = tuple(dict.fromkeys(destination.reference for destination in item.destinations))
    return OrderItem(item.source, once, **item.options)
