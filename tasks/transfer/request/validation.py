"""Check a whole request before anything is written (BEHAVIOUR section 1)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from tasks import contract
from tasks.oci.digest import parse_digest
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference, without_transport
from tasks.oci.signatures import SignaturePolicy, SignerIdentity, parse_key
from tasks.transfer.request.conditions import Conditions, Expectation
from tasks.transfer.request.decode import decode, named
from tasks.transfer.request.destinations import (
    CheckedItem,
    Destination,
    names_of,
    read_destinations,
    refuse_collisions,
    refuse_digests,
)
from tasks.transfer.request.faults import Faults
from tasks.transfer.request.pubtools import native_item, read_target, single_arch_of
from tasks.transfer.request.target import ALL_REFERRERS, Referrers, Target, read_referrers
from tasks.transfer.request.valid import ValidItem, ValidRequest

# The platform that skopeo and docker take from an index by default, on most machines.
_USUAL_PLATFORM: Final = Platform("linux", "amd64")


def validate(request: Any, targets: Mapping[str, Target]) -> ValidRequest:
    """Return the checked form of a request v1 in JSON; raises RequestInvalid with all its faults."""
    faults = Faults()
    warnings: list[str] = []
    decoded = decode(request, faults)
    if decoded.push_id is not None and not contract.is_push_id(decoded.push_id):
        faults.add("push_id", "must be a string of at most 128 letters, digits, '.', '_', ':' and '-'")
    if decoded.tries is not None and decoded.tries < 1:
        faults.add("tries", "must be 1 or more")
    target = _target(decoded, targets, faults, warnings)
    form, items = _items(decoded, faults)
    checked = [_item(item, form, target, faults.of(number)) for number, item in enumerate(items)]
    refuse_collisions(checked, faults)
    if decoded.atomic is not None:
        refuse_digests(checked, faults)
    faults.raise_any()
    target = target or Target()
    return ValidRequest(
        # A repeated item counts once (BEHAVIOUR 1.5).
        tuple(dict.fromkeys(each.item for each in checked)),
        target if decoded.tries is None else replace(target, tries=decoded.tries),
        decoded.atomic,
        decoded.push_id,
        tuple(warnings),
    )


class _Form(msgspec.Struct, frozen=True):
    """The field names of a form of items for source and destinations, and its default referrers."""

    source: str
    destinations: str
    referrers: Referrers


_NATIVE: Final = _Form("source", "destinations", ALL_REFERRERS)
_PUBTOOLS: Final = _Form("metadata.pull_url", "metadata.tags", None)


def _target(
    request: contract.PushRequest, targets: Mapping[str, Target], faults: Faults, warnings: list[str]
) -> Target | None:
    """Return the target of the request, None if it is faulty."""
    before = len(faults.found)
    target = Target()
    if faults.has("target", "target_settings"):
        return None
    if request.target is not None and request.target_settings is not None:
        faults.add("target", "is given beside target_settings: one of them describes the target")
    elif request.target is not None:
        if request.target not in targets:
            configured = ", ".join(sorted(targets)) or "none"
            faults.add("target", f"{request.target[:100]!r} is not a configured target (configured: {configured})")
        target = targets.get(request.target, target)
    elif request.target_settings is not None:
        target = read_target(request.target_settings, faults, warnings)
    return target if len(faults.found) == before else None


def _items(request: contract.PushRequest, faults: Faults) -> tuple[_Form, Sequence[contract.PushItem]]:
    """Return the items of either form as native items, and the names of their fields (BEHAVIOUR 1.1)."""
    if request.push_items is None:
        if request.items == []:
            faults.add("items", "is empty")
        return _NATIVE, request.items or []
    single_arch = single_arch_of(request.target_settings or {})
    items = enumerate(request.push_items)
    return _PUBTOOLS, [native_item(item, single_arch, faults.of(number)) for number, item in items]


def _item(item: contract.PushItem, form: _Form, target: Target | None, faults: Faults) -> CheckedItem:
    broken = faults.has("item", "metadata")
    source = None
    if not broken and not faults.has(form.source):
        source = faults.read(form.source, Reference.parse, without_transport(item.source))
        if source is not None and not source.identifier:
            whole = f"{without_transport(item.source)}:TAG"
            faults.add(form.source, f"{item.source!r} has neither a tag nor a digest: write {whole}, or …@sha256:…")
    platforms = [faults.read("platforms", Platform.parse, name) for name in item.platforms]
    if platforms and item.kind == "source":
        faults.add("platforms", "cannot be chosen for a source image: it is copied as it is")
    destinations = () if broken else read_destinations(item.destinations, form.destinations, target, faults)
    known = tuple(platform for platform in platforms if platform is not None)
    valid = ValidItem(
        source or Reference("", ""),
        tuple(dict.fromkeys(destination.reference for destination in destinations)),
        item.kind,
        "copy" if item.kind == "image" else item.single_arch,
        (known or (_USUAL_PLATFORM,)) if item.kind == "image" else known,
        item.merge and item.kind != "image" and (target is None or target.merge),
        _referrers(item, form, target, faults),
        item.referrers_required if item.referrers_required is not None else bool(target and target.referrers_required),
        _policies(item, target, faults),
        _conditions(item, destinations, target or Target(), faults),
        item.irreversible,
    )
    return CheckedItem(valid, destinations)


def _policies(item: contract.PushItem, target: Target | None, faults: Faults) -> tuple[SignaturePolicy, ...]:
    """Return the required signatures: the target's and the item's, each by one of its keys or identities (9.6)."""
    policies = [target.verify] if target is not None and target.verify is not None else []
    if item.verify is not None and not faults.has("verify.keys") and not faults.has("verify.identities"):
        if not item.verify.keys and not item.verify.identities:
            faults.add("verify.keys", "is empty, and there are no verify.identities either")
        for key in ("identity", "issuer"):
            if any(not getattr(each, key) for each in item.verify.identities):
                faults.add(f"verify.identities.{key}", "is empty")
        keys = [faults.read("verify.keys", parse_key, pem) for pem in item.verify.keys]
        known = tuple(key for key in keys if key is not None)
        identities = tuple(SignerIdentity(each.identity, each.issuer) for each in item.verify.identities)
        policies.append(SignaturePolicy(keys=known, identities=identities, index=item.verify.index))
    return tuple(policies)


def _referrers(item: contract.PushItem, form: _Form, target: Target | None, faults: Faults) -> Referrers:
    """Return the referrers that come along: by the item, else by the target, else by the form (9.1)."""
    if item.referrers is not None:
        try:
            return read_referrers(item.referrers)
        except ValueError as error:
            faults.add("referrers", str(error))
            return None
    of_target = target.referrers if target is not None else "default"
    return form.referrers if of_target == "default" else of_target


def _conditions(
    item: contract.PushItem, destinations: Sequence[Destination], target: Target, faults: Faults
) -> Conditions:
    """Return the conditions of an item's tags: its own, and those of the target, which an item cannot soften."""
    required = [faults.read("require_platforms", Platform.parse, name) for name in item.require_platforms]
    return Conditions(
        expect=tuple(_expectations(item.expect, destinations, faults)),
        overwrite=item.overwrite,
        immutable=target.immutable,
        require_platforms=tuple(platform for platform in required if platform is not None),
        keeps_platforms="refuse" in {item.platform_removal, target.platform_removal},
        forward_only=item.forward_only or target.forward_only,
        version_pattern=target.version_pattern,
    )


def _expectations(
    expect: Mapping[str, str], destinations: Sequence[Destination], faults: Faults
) -> Iterator[Expectation]:
    """Yield the expectation for each tag; `TAG` stands for that tag of every repository of the item."""
    for name, text in expect.items():
        here = named("expect", name)
        digest = None if text == contract.ABSENT else faults.read(here, parse_digest, text)
        meant = [each.reference for each in destinations if name in names_of(each)]
        if not meant:
            faults.add(here, "is no tag of the item: write TAG or REPOSITORY:TAG as in its destinations")
        yield from (Expectation(reference, digest) for reference in meant)
