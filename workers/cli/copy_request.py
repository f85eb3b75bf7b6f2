"""The request that the arguments of `copy` stand for."""

import re
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any, Final

from tasks.errors import RequestInvalid
from tasks.oci.reference import Reference, carries_registry, without_transport
from workers.cli.key_file import read_key, read_text

_OTHER_TRANSPORTS: Final = re.compile(
    r"(?:containers-storage|dir|docker-archive|docker-daemon|oci|oci-archive|ostree|sif|tarball):|[a-z]+://"
)
_USER_INFO: Final = re.compile(r"^([a-z-]+://)?[^/@]*:[^/@]*@")


def copy_request(
    source: str,
    destinations: Iterable[str],
    *,
    target: str | None = None,
    kind: str = "auto",
    single_arch: str = "merge",
    platforms: Iterable[str] = (),
    merge: bool = True,
    referrers: Iterable[str] = (),
    no_referrers: bool = False,
    require_referrers: bool = False,
    verify_keys: Iterable[str] = (),
    verify_identities: Iterable[str] = (),
    conditions: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the request that copies one image; raises RequestInvalid with every wrong argument."""
    tags: dict[str, list[str]] = {}
    faults = []

    def add_fault(role: str, argument: str, error: ValueError) -> None:
        shown = _USER_INFO.sub(r"\1…@", argument)[:300]
        faults.append({"item": 0, "field": f"{role} {shown}", "reason": str(error)})

    try:
        read = _registry_reference(source)
    except ValueError as error:
        add_fault("source", source, error)
        read = ""
    for destination in destinations:
        try:
            text = _registry_reference(destination)
            repository, tag = _split_named(text) if target else _split_full(text)
        except ValueError as error:
            add_fault("destination", destination, error)
            continue
        tags.setdefault(repository, []).append(tag)
    if faults:
        raise RequestInvalid("The arguments are not valid.", faults)
    item: dict[str, Any] = {
        "source": read,
        "destinations": tags,
        "kind": kind,
        "single_arch": single_arch,
        "merge": merge,
        **(conditions or {}),
    }
    if eligible := [part for platform in platforms for part in platform.split(",")]:
        item["platforms"] = eligible
    item |= _along(referrers, leave=no_referrers, require=require_referrers)
    if verify := _verify(verify_keys, verify_identities):
        item["verify"] = verify
    return {"items": [item]} | ({"target": target} if target else {})


def _along(types: Iterable[str], *, leave: bool, require: bool) -> dict[str, Any]:
    """Return the keys of an item for its referrers."""
    chosen = [part for said in types for part in said.split(",")]
    said: dict[str, Any] = {"referrers_required": True} if require else {}
    if leave or chosen:
        said["referrers"] = "none" if leave else "all" if chosen == ["all"] else chosen
    return said


def _verify(keys: Iterable[str], identities: Iterable[str]) -> dict[str, Any]:
    """Return the signatures that an item asks for; raises RequestInvalid."""
    said: dict[str, Any] = {}
    # A producer without the extra `signatures` may ask for one: the worker reads the key.
    if read := [(read_key if find_spec("cryptography") else read_text)(name) for name in keys]:
        said["keys"] = read
    for text in identities:
        # Issuers are URLs; a name before it may have any form, an "=" included.
        identity, equals, issuer = text.rpartition("=")
        if not equals:
            fault = {"item": 0, "field": "verify.identities", "reason": f"{text[:100]!r} is not NAME=ISSUER"}
            raise RequestInvalid("The arguments are not valid.", [fault])
        said.setdefault("identities", []).append({"identity": identity, "issuer": issuer})
    return said


def conditions_of(
    *,
    expect: Iterable[str] = (),
    no_clobber: bool = False,
    required: Iterable[str] = (),
    refuse_platform_removal: bool = False,
    forward_only: str | None = None,
) -> dict[str, Any]:
    """Return the keys of an item for the condition flags of `copy`; raises RequestInvalid."""
    keys: dict[str, Any] = {}
    for text in expect:
        tag, equals, digest = text.rpartition("=")
        if not equals:
            fault = {"item": 0, "field": "expect", "reason": f"{text[:100]!r} is not TAG=DIGEST or TAG=absent"}
            raise RequestInvalid("The arguments are not valid.", [fault])
        keys.setdefault("expect", {})[tag] = digest
    if no_clobber:
        keys["overwrite"] = "never"
    if platforms := [part for platform in required for part in platform.split(",")]:
        keys["require_platforms"] = platforms
    if refuse_platform_removal:
        keys["platform_removal"] = "refuse"
    if forward_only:
        keys["forward_only"] = forward_only
    return keys


def _registry_reference(text: str) -> str:
    """Return a reference without skopeo's `docker://`; raises ValueError if it is not in a registry."""
    reference = without_transport(text)
    if reference == text and (other := _OTHER_TRANSPORTS.match(text)):
        raise ValueError(f"{other[0]} is not supported: images are copied between registries, host/repository:tag")
    return reference


def _split_full(text: str) -> tuple[str, str]:
    if not carries_registry(text):
        raise ValueError("carries no registry host: write host/repository:tag, or name a configured --target")
    reference = Reference.parse(text)
    if reference.digest:
        raise ValueError("has a digest: a destination is a tag")
    if not reference.tag:
        raise ValueError(f"has no tag: write {text}:TAG")
    return reference.name, reference.tag


def _split_named(text: str) -> tuple[str, str]:
    """Split `repository:tag`; the rules of the target check both parts."""
    repository, colon, tag = text.rpartition(":")
    if "@" in text:
        raise ValueError("has a digest: a destination is a tag")
    if not colon or "/" in tag or not tag:
        raise ValueError(f"has no tag: write {text.removesuffix(':')}:TAG")
    return repository, tag
