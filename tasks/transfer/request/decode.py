"""Decode the JSON of a request into the contract's types, and collect all faults of form (BEHAVIOUR 1.2).

msgspec is not used: it stops at the first fault. A faulty value is left out, and its field gets a fault.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, get_args

from tasks import contract
from tasks.oci.signatures import IndexSignature
from tasks.transfer.request.faults import Faults

Item = TypeVar("Item")
_REQUEST_KEYS: Final = frozenset(contract.PushRequest.__struct_fields__)
_ITEM_KEYS: Final = frozenset(contract.PushItem.__struct_fields__)
_IDENTITY_KEYS: Final = frozenset(contract.SignerIdentity.__struct_fields__)
_POLICY_KEYS: Final = frozenset(contract.SignaturePolicy.__struct_fields__)
_NO_ITEM: Final = contract.PushItem(source="", destinations={})
_NO_PUBTOOLS_ITEM: Final = contract.PubtoolsItem(metadata=contract.PubtoolsMetadata(pull_url="", tags={}))


def decode(request: Any, faults: Faults) -> contract.PushRequest:
    """Return a request of exactly one form; raises RequestInvalid if the request is no JSON object."""
    said = faults.expect("request", request, dict, "an object") or {}
    faults.raise_any()
    faults.unknown("", said, _REQUEST_KEYS)
    native, foreign = said.get("items"), said.get("push_items")
    if (native is None) == (foreign is None):
        faults.add("items", "is missing" if native is None else "is given beside push_items: give one of them")
        native = foreign = None
    return contract.PushRequest(
        push_id=_optional(said, "push_id", str, "a string", faults),
        target=_optional(said, "target", str, "a string", faults),
        target_settings=_optional(said, "target_settings", dict, "an object", faults),
        items=_list("items", native, _item, _NO_ITEM, faults),
        push_items=_list("push_items", foreign, _pubtools_item, _NO_PUBTOOLS_ITEM, faults),
        atomic=None if said.get("atomic") is None else _choice("atomic", said, contract.Atomic, None, faults),
        tries=_optional(said, "tries", int, "a number", faults),
    )


def _optional(said: dict[str, Any], key: str, kind: type[Item], named: str, faults: Faults) -> Item | None:
    return None if said.get(key) is None else faults.expect(key, said[key], kind, named)


def _choice(key: str, said: dict[str, Any], choices: Any, default: Any, faults: Faults) -> Any:
    value = said.get(key, default)
    return value if faults.choose(key, value, get_args(choices)) else default


def _list(
    key: str, said: Any, read: Callable[[dict[str, Any], Faults], Item | None], none: Item, faults: Faults
) -> list[Item] | None:
    """Return the items of one form; `none` takes the place of an item that is faulty as a whole."""
    entries = None if said is None else faults.expect(key, said, list, "a list")
    if entries is None:
        return None
    items = []
    for number, entry in enumerate(entries):
        of_item = faults.of(number)
        known = of_item.expect("item", entry, dict, "an object")
        items.append((None if known is None else read(known, of_item)) or none)
    return items


def _item(said: dict[str, Any], faults: Faults) -> contract.PushItem:
    faults.unknown("", said, _ITEM_KEYS)
    source = faults.expect("source", said.get("source"), str, "a string")
    kind = _choice("kind", said, contract.RequestedKind, "auto", faults)
    single_arch = _choice("single_arch", said, contract.SingleArch, "merge", faults)
    merge = faults.expect("merge", said.get("merge", True), bool, "a boolean")
    platforms = faults.expect("platforms", said.get("platforms", []), list, "a list") or []
    return contract.PushItem(
        source=source or "",
        destinations=_destinations("destinations", said.get("destinations"), faults),
        kind=kind,
        single_arch=single_arch,
        platforms=_strings("platforms", platforms, "a string", faults),
        merge=merge is not False,
        referrers=_referrers(said.get("referrers"), faults),
        referrers_required=_optional(said, "referrers_required", bool, "a boolean", faults),
        verify=_policy(said.get("verify"), faults),
        **_conditions(said, faults),
    )


def _policy(said: Any, faults: Faults) -> contract.SignaturePolicy | None:
    known = None if said is None else faults.expect("verify", said, dict, "an object")
    if known is None:
        return None
    faults.unknown("verify.", known, _POLICY_KEYS)
    said_keys = faults.expect("verify.keys", known.get("keys", []), list, "a list")
    keys = _strings("verify.keys", said_keys or [], "PEM", faults)
    identities = faults.expect("verify.identities", known.get("identities", []), list, "a list")
    index: Any = known.get("index", "own")
    faults.choose("verify.index", index, get_args(IndexSignature))
    return contract.SignaturePolicy(
        keys=keys, identities=[_identity(each, faults) for each in identities or []], index=index
    )


def _identity(said: Any, faults: Faults) -> contract.SignerIdentity:
    known = faults.expect("verify.identities", said, dict, "an object with identity and issuer") or {}
    faults.unknown("verify.identities.", known, _IDENTITY_KEYS)
    texts = {
        key: faults.expect(f"verify.identities.{key}", known.get(key), str, "a string")
        for key in sorted(_IDENTITY_KEYS)
        if isinstance(said, dict)
    }
    return contract.SignerIdentity(identity=texts.get("identity") or "", issuer=texts.get("issuer") or "")


def _referrers(said: Any, faults: Faults) -> Any:
    if isinstance(said, list):
        return _strings("referrers", said, "a string", faults) if said else said
    return None if said is None else faults.expect("referrers", said, str, "all, none or a list of artifact types")


def _conditions(said: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """Return the keys of an item that put conditions on its tags."""
    expect = faults.expect("expect", said.get("expect", {}), dict, "an object of tags with digests") or {}
    required = faults.expect("require_platforms", said.get("require_platforms", []), list, "a list") or []
    by = said.get("forward_only")
    return {
        "expect": {tag: text for tag, value in expect.items() if (text := _expected(tag, value, faults)) is not None},
        "overwrite": _choice("overwrite", said, contract.Overwrite, "always", faults),
        "require_platforms": _strings("require_platforms", required, "a string", faults),
        "platform_removal": _choice("platform_removal", said, contract.PlatformRemoval, "allow", faults),
        "forward_only": None if by is None else _choice("forward_only", said, contract.ForwardOnly, None, faults),
        "irreversible": _choice("irreversible", said, contract.Irreversible, "refuse", faults),
    }


def _expected(tag: Any, value: Any, faults: Faults) -> str | None:
    where = named("expect", str(tag))
    known = faults.expect(where, value, str, "a digest or 'absent'")
    return None if faults.expect(where, tag, str, "a string") is None else known


def _pubtools_item(said: dict[str, Any], faults: Faults) -> contract.PubtoolsItem | None:
    metadata = faults.expect("metadata", said.get("metadata"), dict, "an object")
    if metadata is None:
        return None
    source = faults.expect("metadata.pull_url", metadata.get("pull_url"), str, "a string")
    build = metadata.get("build")
    return contract.PubtoolsItem(
        metadata=contract.PubtoolsMetadata(
            pull_url=source or "",
            tags=_destinations("metadata.tags", metadata.get("tags"), faults),
            build=None if build is None else faults.expect("metadata.build", build, dict, "an object"),
        )
    )


def _destinations(where: str, said: Any, faults: Faults) -> dict[str, list[str]]:
    destinations = {}
    repositories = faults.expect(where, said, dict, "an object of repositories with lists of tags")
    for name, listed in (repositories or {}).items():
        here = named(where, str(name))
        repository = faults.expect(here, name, str, "a string")
        tags = faults.expect(here, listed, list, "a list of tags") or []
        known = _strings(here, tags, "a list of strings", faults)
        if repository is None:
            faults.excuse(where)
        else:
            destinations[repository] = known
    return destinations


def _strings(where: str, said: list[Any], named_so: str, faults: Faults) -> list[str]:
    known = [faults.expect(where, entry, str, named_so) for entry in said]
    return [text for text in known if text is not None]


def named(where: str, repository: str) -> str:
    """Return the name of a field for faults of a repository; text before an '@' may be a user with a password."""
    _, at, rest = repository.rpartition("@")
    return f"{where}.{'…' + at if at else ''}{rest[:300]}"
