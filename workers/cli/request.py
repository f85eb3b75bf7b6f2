"""Requests of the command line: a JSON or YAML file, or the arguments of `copy`."""

import json
import re
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from tasks.celery_glue.admission import MESSAGE_BYTES
from tasks.errors import RequestInvalid
from tasks.oci.reference import Reference, carries_registry, without_transport
from tasks.transfer.request.pubtools import secrets
from workers.cli.registry_options import STDIN

_OTHER_TRANSPORTS: Final = re.compile(
    r"(?:containers-storage|dir|docker-archive|docker-daemon|oci|oci-archive|ostree|sif|tarball):|[a-z]+://"
)
_LONGEST_REQUEST: Final = 32 << 20
_USER_INFO: Final = re.compile(r"^([a-z-]+://)?[^/@]*:[^/@]*@")


def read_request(name: str) -> dict[str, Any]:
    """Return the request in the file `name` (`-` is stdin); raises RequestInvalid.

    `.json` files are JSON, `.yaml` and `.yml` files are YAML; for all others, the first character decides.
    """
    shown = "stdin" if name == STDIN else name
    try:
        content = _read_stdin() if name == STDIN else _read_file(Path(name))
        if len(content) > MESSAGE_BYTES:
            raise RequestInvalid(f"{shown} has more than {MESSAGE_BYTES >> 20} MiB: split it into several pushes.")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise RequestInvalid(f"{shown} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"{shown} is not UTF-8 at byte {error.start}.") from error
    if not text.strip():
        raise RequestInvalid(f"{shown} is empty: it must hold a request, as JSON or YAML.")
    suffix = Path(name).suffix.lower()
    is_json = suffix == ".json" or (suffix not in {".yaml", ".yml"} and text.lstrip()[:1] in {"{", "["})
    try:
        document = parse_json(text) if is_json else _parse_yaml(text)
        _check_size(document)
    except RecursionError as error:
        raise RequestInvalid(f"{shown} is nested too deeply.") from error
    except (TypeError, ValueError) as error:
        raise RequestInvalid(f"{shown} is not a request: {error}.") from error
    if not isinstance(document, dict):
        raise RequestInvalid(f"{shown} is not a request: it must be an object with `items` or `push_items`.")
    return _without_secrets(document)


def _check_size(document: Any) -> None:
    """Raise ValueError if a document has non-JSON types or is too long: YAML aliases can expand a short file."""
    length = 0
    for piece in json.JSONEncoder(allow_nan=False).iterencode(document):
        length += len(piece)
        if length > _LONGEST_REQUEST:
            raise ValueError(f"it has more than {_LONGEST_REQUEST >> 20} MiB as JSON")


def _without_secrets(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request whose secret values are masked: the validation refuses a secret by its key alone."""
    settings = request.get("target_settings")
    if not isinstance(settings, dict):
        return request
    return request | {"target_settings": settings | dict.fromkeys(secrets(settings), "…")}


def _read_stdin() -> bytes:
    stream: TextIO | None = sys.stdin
    return b"" if stream is None else stream.buffer.read(MESSAGE_BYTES + 1)


def _read_file(path: Path) -> bytes:
    """Return the content of a file; for an endless one, only enough to show that it is too large."""
    with path.open("rb") as file:
        return file.read(MESSAGE_BYTES + 1)


def parse_json(text: str) -> Any:
    """Return the value of a JSON document; raises ValueError with the place of a syntax error or duplicate key."""
    try:
        parsed = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} in line {error.lineno}, column {error.colno}") from error
    return _unique(parsed, "")


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, duplicate keys included."""


def _unique(value: Any, place: str) -> Any:
    if isinstance(value, _Pairs):
        document: dict[str, Any] = {}
        for key, member in value:
            if key in document:
                raise ValueError(f"the key {key!r} is there twice in {place or 'the outermost object'}")
            document[key] = _unique(member, f"{place}.{key}" if place else key)
        return document
    if isinstance(value, list):
        return [_unique(entry, f"{place}[{number}]") for number, entry in enumerate(value)]
    return value


def _parse_yaml(text: str) -> Any:
    from workers.cli.yaml_documents import parse_yaml

    return parse_yaml(text)


def identify(request: Mapping[str, Any], push_id: str | None) -> tuple[dict[str, Any], str]:
    """Return the request with its push id, and the id: the request's own, else `push_id`, else a new one.

    A request keeps an id that is empty or not a string, so that the validation reports it, and is sent under a new id.
    Raises RequestInvalid if both ids are given and differ.
    """
    own = request.get("push_id")
    if own is not None and push_id is not None and push_id != own:
        raise RequestInvalid(f"The request has the push id {own!r}, the command line says {push_id!r}: give one.")
    new = str(uuid.uuid4())
    chosen = next((given for given in (own, push_id) if given is not None), new)
    return {**request, "push_id": chosen}, chosen if isinstance(chosen, str) and chosen else new


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
    if read := [read_key(name) for name in keys]:
        said["keys"] = read
    for text in identities:
        # Issuers are URLs; a name before it may have any form, an "=" included.
        identity, equals, issuer = text.rpartition("=")
        if not equals:
            fault = {"item": 0, "field": "verify.identities", "reason": f"{text[:100]!r} is not NAME=ISSUER"}
            raise RequestInvalid("The arguments are not valid.", [fault])
        said.setdefault("identities", []).append({"identity": identity, "issuer": issuer})
    return said


def read_key(name: str) -> str:
    """Return the text of a file with a key; raises RequestInvalid."""
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise RequestInvalid(f"The key {name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"The key {name} is not a public key in PEM.") from error


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
