"""Read tags and quotas from Quay's own API (GET /api/v1/…, with an OAuth token).

repository/NAMESPACE/NAME/tag/?specificTag=TAG   {"tags": [{"name": TAG, "immutable": true, …}], …}
organization/NAMESPACE, and user/                {"quotas": [{"limit_bytes": N, "limits": [{"type": "Reject",
of the user whose token it is                    "limit_percent": P}]}], "quota_report": {"quota_bytes": USED,
                                                 "configured_quota": N or null}, …}
"""

from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from tasks.registry.foresight.asking import Asking

Kind = TypeVar("Kind")

_REJECT: Final = "reject"


class _Tag(msgspec.Struct, frozen=True):
    name: str
    immutable: bool = False


class _Tags(msgspec.Struct, frozen=True):
    tags: list[_Tag]


class _Limit(msgspec.Struct, frozen=True):
    type: str
    limit_percent: int


class _Quota(msgspec.Struct, frozen=True):
    limit_bytes: int
    limits: list[_Limit] = []


class _Report(msgspec.Struct, frozen=True):
    quota_bytes: int = 0
    configured_quota: int | None = None


class Namespace(msgspec.Struct, frozen=True):
    """The quotas of a namespace; all are missing where the installation has none, or the token may not see them."""

    username: str = ""
    quotas: list[_Quota] = []
    quota_report: _Report | None = None


def why_immutable(asking: Asking, name: str, tag: str) -> str | None:
    """Return the reason why a tag may not move, None if it may; raises RegistryError, Transient."""
    query = urlencode({"specificTag": tag, "onlyActiveTags": "true", "limit": 1})
    found = _ask(asking, name, f"/api/v1/repository/{quote(name)}/tag/?{query}", _Tags)
    if found is not None and any(each.name == tag and each.immutable for each in found.tags):
        return "Quay marks the tag as immutable"
    return None


def why_full(asking: Asking, name: str, digest: str) -> str | None:
    """Return the reason why nothing more is stored in a namespace, None if there is room.

    A full namespace takes no tag, not even of a manifest that it has. Raises RegistryError, Transient.
    """
    del digest
    namespace = name.partition("/")[0]
    found = _ask(asking, name, f"/api/v1/organization/{quote(namespace)}", Namespace)
    if found is None:
        found = _ask(asking, name, "/api/v1/user/", Namespace)
        found = found if found is not None and found.username == namespace else None
    full = None if found is None else reached_limit(found)
    return None if full is None else f"the quota of the namespace {namespace} is used up ({full[0]} of {full[1]} bytes)"


def reached_limit(namespace: Namespace) -> tuple[int, int] | None:
    """Return the used bytes, and those from which on Quay refuses to store more, None if they are not reached.

    Of the limits that are reached the highest counts, as in Quay, and a warning refuses nothing. Without a quota of its
    own a namespace has that of the installation.
    """
    report = namespace.quota_report
    if report is None:
        return None
    if namespace.quotas:
        quota = namespace.quotas[0]
        limits = [(quota.limit_bytes * each.limit_percent // 100, each.type.lower()) for each in quota.limits]
    else:
        limits = [(report.configured_quota, _REJECT)] if report.configured_quota else []
    reached = [each for each in limits if report.quota_bytes >= each[0]]
    limit, kind = max(reached, key=lambda each: each[0], default=(0, ""))
    return (report.quota_bytes, limit) if kind == _REJECT else None


def _ask(asking: Asking, name: str, path: str, kind: type[Kind]) -> Kind | None:
    token = asking.transport.settings.api_token
    return asking.document(path, kind, repository=name, authorization=f"Bearer {token}")
