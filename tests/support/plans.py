"""Plans for tests: their items, tags and copies, each with what a test says of it."""

from typing import Any

from tasks import contract
from tasks.errors import ImagePusherError
from tasks.oci.digest import Digest
from tasks.oci.reference import Reference, RepositoryName
from tasks.transfer.plan.plan import Copy, FailedItem, PlannedTag, ResolvedItem
from tasks.transfer.request.valid import ValidItem

SOURCE = "a.example/app:1"


def digest(name: str) -> Digest:
    """Return a digest that nothing has."""
    return Digest(f"sha256:{name}")


def planned_tag(reference: str, action: contract.Action = "copied", **more: Any) -> PlannedTag:
    return PlannedTag(reference=Reference.parse(reference), action=action, **more)


def wanted(source: str = SOURCE, *tags: PlannedTag) -> ValidItem:
    return ValidItem(Reference.parse(source), tuple(tag.reference for tag in tags))


def resolved_item(*tags: PlannedTag, needs: tuple[str, ...] = (), source: str = SOURCE, **more: Any) -> ResolvedItem:
    said = {"kind": "multi-arch", "digest": digest("source"), "media_type": "m", "eligible": (), "platform": None}
    return ResolvedItem(
        wanted=wanted(source, *tags), needs=tuple(Digest(need) for need in needs), tags=tags, **{**said, **more}
    )


def failed_item(error: ImagePusherError, *tags: PlannedTag, source: str = SOURCE) -> FailedItem:
    return FailedItem(wanted=wanted(source, *tags), error=error, tags=tags)


def planned_copy(digest: str, source: str = "a/x", destinations: tuple[str, ...] = ("b/x",), **more: Any) -> Copy:
    said = {"media_type": "m", "size": 1}
    return Copy(
        digest=Digest(digest),
        source=place(source),
        destinations=[place(name) for name in destinations],
        **{**said, **more},
    )


def place(text: str) -> RepositoryName:
    registry, _, name = text.partition("/")
    return RepositoryName(registry, name)
