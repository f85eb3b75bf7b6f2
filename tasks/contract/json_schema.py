"""The JSON schema of request and report."""

from typing import Any, Final

import msgspec

from tasks.contract.report import PushReport
from tasks.contract.request import (
    PubtoolsItem,
    PubtoolsMetadata,
    PushItem,
    PushRequest,
    SignaturePolicy,
    SignerIdentity,
)

_LATER_KEYS: Final = frozenset({"side", "warnings", "referrers", "referrers_left", "artifact_type", "producer"})
_REQUESTED: Final = frozenset(
    kind.__name__ for kind in (PushRequest, PushItem, SignaturePolicy, SignerIdentity, PubtoolsItem, PubtoolsMetadata)
)


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the request and the report; `schema.v1.json` holds its text."""
    references, components = msgspec.json.schema_components((PushRequest, PushReport), ref_template="#/$defs/{name}")
    request, report = references
    components["PushRequest"]["oneOf"] = [
        {"required": ["items"], "properties": {"items": {"type": "array", "minItems": 1}}},
        {"required": ["push_items"], "properties": {"push_items": {"type": "array"}}},
    ]
    components["SignaturePolicy"]["anyOf"] = [
        {"required": [key], "properties": {key: {"type": "array", "minItems": 1}}} for key in ("keys", "identities")
    ]
    components["PushRequest"]["not"] = {
        "required": ["target", "target_settings"],
        "properties": {"target": {"type": "string"}, "target_settings": {"type": "object"}},
    }
    for name, component in components.items():
        component["description"] = " ".join(component["description"].split())
        if name not in _REQUESTED:
            # A report leaves out no key, whatever has a default in Python; one of an older worker lacks the later keys.
            component["required"] = [key for key in component["properties"] if key not in _LATER_KEYS]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "imagepusher v1",
        "description": "The request that imagepusher.push.v1 takes and the report that it returns.",
        "oneOf": [request, report],
        "$defs": components,
    }
