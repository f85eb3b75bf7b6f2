"""A reader like that of Go: keys without regard to case, the last one wins, null changes nothing."""

import json
from typing import Any

from tasks.oci.descriptor import REFERENCE_DIGEST

Said = tuple[str, str, int, tuple[str, ...], str]


class Members(list[tuple[str, Any]]):
    """The members of an object, all of them."""


def go_field(members: Any, name: str) -> Any:
    """Return what a struct's field holds in the end; objects are read into what is there already."""
    found: Any = None
    for key, value in members if isinstance(members, Members) else ():
        if key.casefold() != name.casefold() or value is None:
            continue
        found = Members([*found, *value]) if isinstance(found, Members) and isinstance(value, Members) else value
    return found


class GoRefuses(Exception):
    """A value is of another type than the field of the struct: Go reads nothing of the document."""


def go_descriptor(members: Any) -> Said:
    platform, annotations = go_field(members, "platform"), go_field(members, "annotations")
    texts = [go_field(platform, key) for key in ("os", "architecture", "variant", "os.version")]
    if not all(isinstance(each, Members | None) for each in (platform, annotations)):
        raise GoRefuses
    annotations = dict(annotations or ())
    if not all(isinstance(each, str | None) for each in (*texts, *annotations.values())):
        raise GoRefuses
    return (
        go_field(members, "digest") or "",
        go_field(members, "mediaType") or "",
        go_field(members, "size") or 0,
        tuple(go_field(platform, key) or "" for key in ("os", "architecture", "variant", "os.version")),
        annotations.get(REFERENCE_DIGEST) or "",
    )


def go_reading(content: bytes) -> list[Said]:
    """Return what Go reads of the parts of a manifest or an index; it takes the first value and replaces odd bytes."""
    decoder = json.JSONDecoder(object_pairs_hook=Members)
    document, _ = decoder.raw_decode(content.decode(errors="replace").lstrip())
    listed = go_field(document, "manifests")
    if listed is None:
        listed = [go_field(document, "config"), *(go_field(document, "layers") or ())]
    # A configuration without digest is nothing to copy.
    return [said for each in listed if (said := go_descriptor(each))[0]]
