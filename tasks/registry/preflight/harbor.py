"""What Harbor's own API says of tags and quotas (GET /api/v2.0/projects/…, with user and password of the destination).

PROJECT/repositories/NAME/artifacts/TAG/tags    [{"name": TAG, "immutable": true, …}]
PROJECT/immutabletagrules                       [{"disabled": false, "tag_selectors": [{"decoration": "matches",
                                                "pattern": P}], "scope_selectors": {"repository": [{"decoration":
                                                "repoMatches", "pattern": P}]}}], to administrators and maintainers
PROJECT/summary                                 {"quota": {"hard": {"storage": N}, "used": {"storage": USED}}, …}
PROJECT/artifacts?q=digest=DIGEST,base=*        [{"digest": DIGEST, …}], without `base` no part of an index
"""

from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from tasks.registry.preflight.doublestar import matches
from tasks.registry.preflight.questions import Asking, Wish

Kind = TypeVar("Kind")

# The name of a project may be a number, which is taken for its id otherwise.
_BY_NAME: Final = {"X-Is-Resource-Name": "true"}


class _Tag(msgspec.Struct, frozen=True):
    name: str
    immutable: bool = False


class _Selector(msgspec.Struct, frozen=True):
    decoration: str
    pattern: str

    def selects(self, name: str) -> bool:
        return matches(self.pattern, name) != self.decoration.lower().endswith("excludes")


class TagRule(msgspec.Struct, frozen=True):
    """A rule that makes tags of some repositories immutable; of several selectors Harbor takes the first."""

    disabled: bool = False
    tag_selectors: list[_Selector] = []
    scope_selectors: dict[str, list[_Selector]] = {}

    def makes_immutable(self, repository: str, tag: str) -> bool:
        """Tell whether the rule makes a new tag immutable at once; `repository` is the name without its project."""
        repositories, tags = self.scope_selectors.get("repository", []), self.tag_selectors
        if self.disabled or not repositories or not tags:
            return False
        return repositories[0].selects(repository) and tags[0].selects(tag)


class _Artifact(msgspec.Struct, frozen=True):
    digest: str


class _Storage(msgspec.Struct, frozen=True):
    storage: int = -1


class _Quota(msgspec.Struct, frozen=True):
    hard: _Storage = _Storage()
    used: _Storage = _Storage()


class _Summary(msgspec.Struct, frozen=True):
    quota: _Quota | None = None


def why_immutable(asking: Asking, name: str, tag: str) -> str | None:
    """Return the reason why a tag may not move, None if it may; raises RegistryError, Transient."""
    project, _, repository = name.partition("/")
    # A name with a slash is encoded twice, as Harbor's API wants it.
    path = f"{project}/repositories/{quote(quote(repository, safe=''))}/artifacts/{tag}/tags"
    query = urlencode({"with_immutable_status": "true", "q": f"name={tag}"})
    found = _ask(asking, name, f"{path}?{query}", list[_Tag]) or []
    if any(each.name == tag and each.immutable for each in found):
        return "a rule of its Harbor project makes the tag immutable"
    return None


def why_fixed(asking: Asking, name: str, tag: str) -> str | None:
    """Return the reason why a new tag could not be deleted again, None if it may; raises RegistryError, Transient."""
    project, _, repository = name.partition("/")
    rules = _ask(asking, name, f"{project}/immutabletagrules?page_size=100", list[TagRule]) or []
    if any(rule.makes_immutable(repository, tag) for rule in rules):
        return f"a rule of the Harbor project {project} makes it immutable at once"
    return None


def why_full(asking: Asking, name: str, wish: Wish) -> str | None:
    """Return the reason why a manifest is not stored in a project, None if it is or may be.

    A full project takes what it has already, also in another repository. Raises RegistryError, Transient.
    """
    project = name.partition("/")[0]
    summary = _ask(asking, name, f"{project}/summary", _Summary)
    quota = None if summary is None else summary.quota
    if quota is None or quota.hard.storage < 0:
        return None
    used, hard, size = quota.used.storage, quota.hard.storage, wish.size
    if used < hard:
        return None if size() <= hard else f"its layers have {size()} bytes, and the quota of {project} is {hard} bytes"
    query = urlencode({"q": f"digest={wish.digest},base=*", "page_size": 1})
    if _ask(asking, name, f"{project}/artifacts?{query}", list[_Artifact]) != []:
        return None
    return f"the quota of the project {project} is used up ({used} of {hard} bytes)"


def _ask(asking: Asking, name: str, path: str, kind: type[Kind]) -> Kind | None:
    authorization = asking.transport.basic(name)
    return asking.document(
        f"/api/v2.0/projects/{path}", kind, repository=name, authorization=authorization, headers=_BY_NAME
    )
