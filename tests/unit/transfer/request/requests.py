"""Requests in a line: valid ones, and the faults of others."""

from typing import Any

import pytest

from tasks.errors import RequestInvalid
from tasks.oci.digest import Digest
from tasks.transfer.request.target import Target
from tasks.transfer.request.valid import ValidItem, ValidRequest
from tasks.transfer.request.validation import validate

DIGEST = Digest(f"sha256:{'a' * 64}")
SHOP = Target(host="quay.example:8443", namespace="shop", naming="quay")
TARGETS = {"shop": SHOP, "flat": Target(host="flat.example/", naming="verbatim")}


def item(**fields: Any) -> dict[str, Any]:
    return {"source": "a.example:5000/src/app:1", "destinations": {"b.example:5000/dst/app": ["1"]}} | fields


def read(request: Any) -> ValidRequest:
    return validate(request, TARGETS)


def read_item(**fields: Any) -> ValidItem:
    (valid_item,) = read({"items": [item(**fields)]}).items
    return valid_item


def faults(request: Any) -> list[tuple[int | None, str, str]]:
    with pytest.raises(RequestInvalid) as refusal:
        read(request)
    assert refusal.value.faults
    return [(fault["item"], fault["field"], fault["reason"]) for fault in refusal.value.faults]


def fields(request: Any) -> list[tuple[int | None, str]]:
    return [(number, where) for number, where, _ in faults(request)]


def reason(request: Any) -> str:
    ((_, _, why),) = faults(request)
    return why


def pubtools_item(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"pull_url": "a.example/src/app:1", "tags": {"ns/app": ["1"]}, "build": {}} | metadata}


def pubtools(*items: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"push_items": list(items), "target_settings": {"quay_namespace": "shop"} | settings}
