"""Read tags, rules of tags and quotas from Quay's own API (GET /api/v1/…, with an OAuth token).

repository/NAMESPACE/NAME/tag/?specificTag=TAG   {"tags": [{"name": TAG, "immutable": true, …}], …}
repository/NAMESPACE/NAME/immutabilitypolicy/,   {"policies": [{"tagPattern": REGEX, "tagPatternMatches": true, …}]},
and organization/NAMESPACE/immutabilitypolicy/   to administrators; false: what does not match is immutable
organization/NAMESPACE, and user/                {"quotas": [{"limit_bytes": N, "limits": [{"type": "Reject",
of the user whose token it is                    "limit_percent": P}]}], "quota_report": {"quota_bytes": USED,
                                                 "configured_quota": N or null, "backfill_status": S}, …}
"""

import re
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from tasks.registry.preflight.bounded_pattern import is_bounded
from tasks.registry.preflight.questions import Asking, Wish

Kind = TypeVar("Kind")

_REJECT: Final = "reject"


class _Tag(msgspec.Struct, frozen=True):
    name: str
    immutable: bool = False


class _Tags(msgspec.Struct, frozen=True):
    tags: list[_Tag]


class TagPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """A rule that makes tags immutable: those that a pattern matches from their start, or all others."""

    tag_pattern: str
    tag_pattern_matches: bool = True

    def makes_immutable(self, tag: str) -> bool:
        """Tell whether a tag is known to be immutable as soon as it is there."""
        if not is_bounded(self.tag_pattern):
            return False
        try:
            return (re.match(self.tag_pattern, tag) is not None) == self.tag_pattern_matches
        except re.error:
            return False


class _Policies(msgspec.Struct, frozen=True):
    policies: list[TagPolicy]


class _Limit(msgspec.Struct, frozen=True):
    type: str
    limit_percent: int


class _Quota(msgspec.Struct, frozen=True):
    limit_bytes: int
    limits: list[_Limit] = []


class _Report(msgspec.Struct, frozen=True):
    quota_bytes: int = 0
    configured_quota: int | None = None
    backfill_status: str = ""


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


def why_fixed(asking: Asking, name: str, tag: str) -> str | None:
    """Return the reason why a new tag could not be deleted again, None if it may; raises RegistryError, Transient."""
    namespace = name.partition("/")[0]
    for place, path in (
        (f"the repository {name}", f"repository/{quote(name)}"),
        (f"the namespace {namespace}", f"organization/{quote(namespace)}"),
    ):
        found = _ask(asking, name, f"/api/v1/{path}/immutabilitypolicy/", _Policies)
        if found is not None and any(each.makes_immutable(tag) for each in found.policies):
            return f"a rule of {place} at Quay makes it immutable at once"
    return None


def why_full(asking: Asking, name: str, wish: Wish) -> str | None:
    """Return the reason why a tag is not stored in a namespace, None if there may be room.

    A full namespace takes no tag, not even of a manifest that it has. Raises RegistryError, Transient.
    """
    namespace = name.partition("/")[0]
    found = _ask(asking, name, f"/api/v1/organization/{quote(namespace)}", Namespace)
    if found is None:
        found = _ask(asking, name, "/api/v1/user/", Namespace)
        found = found if found is not None and found.username == namespace else None
    if found is None or found.quota_report is None:
        return None
    used = found.quota_report.quota_bytes
    if (limit := limit_at(found, used)) is not None:
        return f"the quota of the namespace {namespace} is used up ({used} of {limit} bytes)"
    highest = highest_limit(found)
    if highest is not None and wish.size() >= highest:
        return f"its layers have {wish.size()} bytes, and the quota of the namespace {namespace} is {highest} bytes"
    return None


def limit_at(namespace: Namespace, used: int) -> int | None:
    """Return the limit by which Quay refuses a tag if so many bytes are used, None if it takes the tag.

    Of the limits that are reached the highest counts, as in Quay, and a warning refuses nothing.
    """
    reached = [each for each in _limits(namespace) if used >= each[0]]
    limit, kind = max(reached, key=lambda each: each[0], default=(0, ""))
    return limit if kind == _REJECT else None


def highest_limit(namespace: Namespace) -> int | None:
    """Return the bytes that a namespace never reaches; None if there is no such limit, or Quay does not count yet."""
    report = namespace.quota_report
    if report is None or report.backfill_status != "complete":
        return None
    return limit_at(namespace, max((limit for limit, _ in _limits(namespace)), default=0))


def _limits(namespace: Namespace) -> list[tuple[int, str]]:
    """Return the limits of a namespace: those of its quota, else that of the installation."""
    if namespace.quotas:
        quota = namespace.quotas[0]
        return [(quota.limit_bytes * each.limit_percent // 100, each.type.lower()) for each in quota.limits]
    default = namespace.quota_report.configured_quota if namespace.quota_report is not None else None
    return [(default, _REJECT)] if default else []


def _ask(asking: Asking, name: str, path: str, kind: type[Kind]) -> Kind | None:
    token = asking.transport.settings.api_token
    return asking.document(path, kind, repository=name, authorization=f"Bearer {token}")
