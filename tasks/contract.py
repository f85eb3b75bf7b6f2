"""The public contract: names of tasks and queues, and the JSON of a push's request and report, version 1.

Producers never import this package. They send a request to `PUSH_TASK` on `PUSH_QUEUE` and read a report as its result.
"""

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from tasks.errors import ImagePusherError, OlderThanDestination

PUSH_TASK: Final = "imagepusher.push.v1"
COPY_TASK: Final = "imagepusher.copy.v1"
PUBLISH_TASK: Final = "imagepusher.publish.v1"
PREVIEW_TASK: Final = "imagepusher.preview.v1"
VERIFY_TASK: Final = "imagepusher.verify.v1"
UNDO_TASK: Final = "imagepusher.undo.v1"

PUSH_QUEUE: Final = "imagepusher.push"
COPY_QUEUE: Final = "imagepusher.copy"
PUBLISH_QUEUE: Final = "imagepusher.publish"
QUEUES: Final = (PUSH_QUEUE, COPY_QUEUE, PUBLISH_QUEUE)

RequestedKind = Literal["auto", "source", "image"]
SingleArch = Literal["refuse", "copy", "merge"]
Atomic = Literal["item", "push"]
Overwrite = Literal["always", "same", "never"]
PlatformRemoval = Literal["allow", "refuse"]
ForwardOnly = Literal["version", "created"]
Irreversible = Literal["refuse", "accept"]
# An expectation of a tag that is not there.
ABSENT: Final = "absent"
Kind = Literal["source", "multi-arch", "single-arch"]
Action = Literal["copied", "merged", "unchanged", "failed", "skipped", "rolled_back"]
# The actions that leave a tag as the push wanted it; for the others see `is_failure`.
DONE: Final[frozenset[Action]] = frozenset({"copied", "merged", "unchanged"})
State = Literal["succeeded", "partial", "failed"]
# Why something that refers to an image did not come along: the tag got another index than the source's (`merged`,
# `subset`), the destination did not take it (`refused`), or the source does not serve it (`unreadable`).
LeftReason = Literal["merged", "subset", "refused", "unreadable"]
ErrorSide = Literal["source", "destination", "state", "settings", "worker"]

# What these say is in the JSON schema; BEHAVIOUR section 1 has the rules that a schema cannot say.
_PUSH_ID: Final = "[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
PushId = Annotated[str, Meta(pattern=f"^{_PUSH_ID}$")]
# A digest stands for no tag: the manifest is stored under it alone.
Tag = Annotated[str, Meta(pattern="^([A-Za-z0-9_][A-Za-z0-9._-]{0,127}|sha256:[0-9a-f]{64})$")]
ArtifactType = Annotated[str, Meta(min_length=1)]
Destinations = Annotated[dict[str, Annotated[list[Tag], Meta(min_length=1)]], Meta(min_length=1)]
Expected = Annotated[str, Meta(pattern="^(sha256:[0-9a-f]{64}|absent)$")]


class SignerIdentity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who signed without a key of their own: the name in the certificate, and the issuer who vouched for it."""

    identity: Annotated[str, Meta(min_length=1)]
    issuer: Annotated[str, Meta(min_length=1)]


class SignaturePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The signature that a source must bear: by one of some public keys, each in PEM, or by one of some identities.

    An index needs one of its own; with `children`, one of each of its images will do.
    """

    keys: list[str] = []
    identities: list[SignerIdentity] = []
    index: Literal["own", "children"] = "own"


class PushItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One source image and where it goes.

    `destinations` maps repositories to tags. `single_arch` says what becomes of an image that is no index: it is
    refused, copied over what is there, or put into an index that is there. `platforms` names the only ones to take
    from the source. The kind `source` copies whatever the source is as it is; `image` takes one image out of an index,
    that of `platforms` (linux/amd64 by default) or the only one, and copies it over what is there. `referrers` says
    which signatures, SBOMs and attestations come along: all, none, or those of some artifact types; without a word the
    target says it, else all do. With `referrers_required` a tag fails where one of them does not arrive. `verify` names
    the signature without which nothing is copied, beside the one that the target may ask for.

    The rest are conditions of each tag. `expect` maps tags (`TAG`, or `REPOSITORY:TAG`) to the digest that they hold,
    or `absent`. `overwrite` is `never` for tags that stay as they are once they are there, `same` for those whose
    images stay and to which platforms may be added. After the push a tag has the `require_platforms`;
    `platform_removal` refuses to take one away. A tag that is `forward_only` never goes back to an older image, by its
    version or by the time of its creation. `irreversible` says whether a tag that cannot be put back may be part of a
    release.
    """

    source: str
    destinations: Destinations
    kind: RequestedKind = "auto"
    single_arch: SingleArch = "merge"
    platforms: list[str] = []
    merge: bool = True
    referrers: Literal["all", "none"] | Annotated[list[ArtifactType], Meta(min_length=1)] | None = None
    referrers_required: bool | None = None
    verify: SignaturePolicy | None = None
    expect: dict[str, Expected] = {}
    overwrite: Overwrite = "always"
    require_platforms: list[str] = []
    platform_removal: PlatformRemoval = "allow"
    forward_only: ForwardOnly | None = None
    irreversible: Irreversible = "refuse"


class PubtoolsMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a push needs of a pubtools-quay push item: `build.extra.image.sources_for_nvr` marks a source image."""

    pull_url: str
    tags: Destinations
    build: dict[str, Any] | None = None


class PubtoolsItem(msgspec.Struct, frozen=True, kw_only=True):
    """A push item in the form of pubtools-quay."""

    metadata: PubtoolsMetadata


class PushRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A push: its items, and the target that they go to.

    `target` names a target of the worker's settings; `target_settings` describes one, without secrets. With neither,
    each destination repository carries its host. `atomic` withholds the tags of an item, or of the push, unless every
    copy that belongs to it succeeded; without it a tag waits only for what it needs itself. `tries` bounds how often
    each of reading, copying and moving tags is tried, in place of what the target says.
    """

    push_id: PushId | None = None
    target: str | None = None
    target_settings: dict[str, Any] | None = None
    items: list[PushItem] | None = None
    push_items: list[PubtoolsItem] | None = None
    atomic: Atomic | None = None
    tries: Annotated[int, Meta(ge=1)] | None = None


class Fault(msgspec.Struct, frozen=True):
    """An error: a stable code, a message that says what happened, where, and what to do, and whose side it is on."""

    code: str
    message: str
    side: ErrorSide | None = None

    @classmethod
    def of(cls, error: ImagePusherError) -> "Fault":
        """Return how a report tells of an error."""
        return cls(error.code, str(error), None if error.side is None else error.side.value)


class Notice(msgspec.Struct, frozen=True):
    """A warning that is part of a result: a stable code, and a message that says what happened and where."""

    code: str
    message: str


class ReferrerLeft(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest that refers to the image, and that did not come along."""

    digest: str
    artifact_type: str = ""
    reason: LeftReason
    error: Fault | None = None


class TagReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one destination tag; digests are None where there was, or is, no tag.

    `referrers` counts what refers to the image and is at the destination too, by artifact type.
    """

    reference: str
    action: Action
    old_digest: str | None = None
    new_digest: str | None = None
    kept_platforms: list[str] = []
    protective_tag: str | None = None
    warnings: list[Notice] = []
    referrers: dict[str, int] = {}
    referrers_left: list[ReferrerLeft] = []
    error: Fault | None = None


def is_failure(tag: TagReport) -> bool:
    """Tell whether a tag makes its push fail: one that would have gone back to an older image does not."""
    return tag.action not in DONE and not is_harmless(tag.error)


def is_harmless(fault: Fault | None) -> bool:
    """Tell whether a fault only says why a tag was skipped as it should be (BEHAVIOUR 10.4)."""
    return fault is not None and fault.code == OlderThanDestination.code


class ItemReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one item."""

    source: str
    kind: Kind | None = None
    digest: str | None = None
    error: Fault | None = None
    tags: list[TagReport] = []


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved: bytes of blobs, numbers of blobs and manifests by repository, wall seconds."""

    bytes_copied: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_skipped: int = 0
    manifests_copied: int = 0
    seconds: float = 0.0


class PushReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a push ended.

    `warnings` are those of its request, and those that registries sent along. `producer` signed the request; None for
    an operator, or where nobody signs.
    """

    push_id: str
    state: State
    items: list[ItemReport]
    totals: Totals
    warnings: list[str] = []
    producer: str | None = None


class TagMoved(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever signs or notifies is told of a tag that moved; `platforms` maps each to the digest of its manifest.

    `unsigned` are the digests that this push made, so that no signature of the source is one of theirs.
    It may be told more than once: `push_id`, `reference` and `new_digest` together name the event.
    """

    push_id: str
    reference: str
    repository: str
    tag: str
    action: Literal["copied", "merged"]
    source: str
    source_digest: str
    kind: Kind
    old_digest: str | None
    new_digest: str
    platforms: dict[str, str] = {}
    unsigned: list[str] = []


class RepositoryPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What one copy would do in one repository; `present` says that the manifest is there with all that it needs."""

    repository: str
    present: bool = False
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_skipped: int = 0
    bytes_copied: int = 0
    error: Fault | None = None


class CopyPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What one copy would do."""

    digest: str
    source: str
    platform: str | None = None
    repositories: list[RepositoryPreview] = []


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a push would do: the actions of its tags, and its copies. Only pull scope was asked for."""

    items: list[ItemReport]
    copies: list[CopyPreview]
    warnings: list[str] = []


class TagVerification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a tag is what the report says, with all that it needs; `missing` lists digests."""

    reference: str
    expected_digest: str
    found_digest: str | None = None
    missing: list[str] = []
    error: Fault | None = None


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether B holds what the report of a push says."""

    push_id: str
    state: Literal["verified", "broken"]
    tags: list[TagVerification]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of one tag that moved, and its fault if it does not hold.

    `bundle` is as signed, `statement` is what it says. `digest` is that of the manifest by which it refers to the
    image; `attached` tells whether the destination took it.
    """

    reference: str
    digest: str | None = None
    attached: bool = False
    statement: dict[str, Any] | None = None
    bundle: dict[str, Any] | None = None
    error: Fault | None = None


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """The receipts of a push: whether each tag that moved has one, by a key that was asked for."""

    push_id: str
    state: Literal["verified", "broken"]
    receipts: list[Receipt]


class TagUndo(msgspec.Struct, frozen=True, kw_only=True):
    """What undo did to a tag; `moved` means that it no longer was what the push made it, so that it was left alone.

    A tag of a release that is `skipped` stays as the push made it, since another one of the release cannot be put back.
    """

    reference: str
    action: Literal["restored", "deleted", "moved", "failed", "skipped"]
    digest: str | None = None
    error: Fault | None = None


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """What undo did."""

    push_id: str
    state: State
    tags: list[TagUndo]


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that an operator froze: no push moves it before it is released; seconds since the epoch.

    `by` is the user of the page who froze it, None for the command.
    """

    reference: str
    why: str
    since: float
    by: str | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a tag by a push; seconds since the epoch, `undone` is None where it was not taken back."""

    at: float
    push_id: str
    action: Literal["copied", "merged"]
    source: str
    source_digest: str | None
    old_digest: str | None
    new_digest: str
    undone: float | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The moves of one tag by pushes, the newest first."""

    reference: str
    moves: list[Move]


ProgressState = Literal[
    "enqueued",
    "accepted",
    "copying",
    "publishing",
    "waiting",
    "succeeded",
    "partial",
    "failed",
    "interrupted",
    "refused",
]
# The states that a push leaves only when it is sent again.
ENDED: Final = frozenset({"succeeded", "partial", "failed", "refused"})


class CopyProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of blobs that one copy has moved and found there, of those that it will have to, and whether it ended.

    `source` and `platform` say which image it belongs to, where the ledger knows that.
    """

    digest: str
    done: int = 0
    total: int = 0
    ended: bool = False
    failed: bool = False
    source: str | None = None
    platform: str | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a push that waits for a registry, or for the state of the workers; seconds since the epoch."""

    reason: Fault
    since: float
    until: float


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a push is; seconds since the epoch.

    `interrupted` is a push without a broker that no process carries out any more, `refused` one that broke a rule.
    """

    push_id: str
    state: ProgressState
    waiting: Waiting | None = None
    created: float
    updated: float
    copies: list[CopyProgress] = []
    tags: int = 0
    tags_done: int = 0


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


_LATER_KEYS: Final = frozenset({"side", "warnings", "referrers", "referrers_left", "artifact_type", "producer"})
_REQUESTED: Final = frozenset(
    kind.__name__ for kind in (PushRequest, PushItem, SignaturePolicy, SignerIdentity, PubtoolsItem, PubtoolsMetadata)
)


def push_id_of(request: Any, task_id: str) -> str:
    """Return the id of the push that a request, valid or not, is for: its own word, else the id of its task."""
    given = request.get("push_id") if isinstance(request, dict) else None
    return given if given and isinstance(given, str) else task_id


def is_same_request(one: Any, other: Any) -> bool:
    """Tell whether two requests ask for the same; the id of the push may stand in one of them alone."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, "push_id": None} == {**other, "push_id": None}
    return bool(one == other)


def is_push_id(text: str) -> bool:
    """Tell whether a text may be the id of a push, and so a part of a key."""
    return re.fullmatch(_PUSH_ID, text) is not None
