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
# The reason why a referrer was not copied: the tag got another index than the source's (`merged`, `subset`), the
# destination refused the referrer (`refused`), or the source does not serve it (`unreadable`).
LeftReason = Literal["merged", "subset", "refused", "unreadable"]
ErrorSide = Literal["source", "destination", "state", "settings", "worker"]

# The JSON schema contains these patterns; BEHAVIOUR section 1 has the rules that a schema cannot express.
_PUSH_ID: Final = "[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
PushId = Annotated[str, Meta(pattern=f"^{_PUSH_ID}$")]
# A digest in place of a tag: the manifest is stored under its digest, without a tag.
Tag = Annotated[str, Meta(pattern="^([A-Za-z0-9_][A-Za-z0-9._-]{0,127}|sha256:[0-9a-f]{64})$")]
ArtifactType = Annotated[str, Meta(min_length=1)]
Destinations = Annotated[dict[str, Annotated[list[Tag], Meta(min_length=1)]], Meta(min_length=1)]
Expected = Annotated[str, Meta(pattern="^(sha256:[0-9a-f]{64}|absent)$")]


class SignerIdentity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signer without a key: the name in the signer's certificate, and the issuer who vouched for that name."""

    identity: Annotated[str, Meta(min_length=1)]
    issuer: Annotated[str, Meta(min_length=1)]


class SignaturePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The signature that a source must have: by one of the public keys in PEM, or by one of the identities.

    An index needs a signature of its own. With `children`, a signature on each of its images is enough.
    """

    keys: list[str] = []
    identities: list[SignerIdentity] = []
    index: Literal["own", "children"] = "own"


class PushItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One source image and its destinations.

    `destinations` maps repositories to tags. `single_arch` is the treatment of an image that is not an index: the push
    refuses it, copies it over the tag, or merges it into the tag's index. `platforms` are the platforms to take from
    the source; all others are left out. The kind `source` copies the source unchanged. The kind `image` takes one image
    out of an index and copies it over the tag: the image for `platforms` (linux/amd64 by default), or the only image.
    `referrers` selects the signatures, SBOMs and attestations that are copied too: all, none, or those of some artifact
    types. If it is absent, the target decides; if the target does not, all are copied. With `referrers_required`, a tag
    fails if one of them does not arrive. `verify` names a signature that the image must have, in addition to the
    signature that the target requires.

    The other keys are conditions on each tag. `expect` maps tags (`TAG`, or `REPOSITORY:TAG`) to the digest that they
    hold before the push, or to `absent`. `overwrite` is `never` if an existing tag must not change, `same` if platforms
    may be added to it but its images must stay. `require_platforms` are platforms that a tag must have after the push.
    `platform_removal` says whether a tag may lose a platform. A `forward_only` tag never goes back to an older image,
    by version or by creation time. `irreversible` says whether a release may contain a tag that cannot be put back.
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
    """The keys that a push reads of a pubtools-quay item; `build.extra.image.sources_for_nvr` marks a source image."""

    pull_url: str
    tags: Destinations
    build: dict[str, Any] | None = None


class PubtoolsItem(msgspec.Struct, frozen=True, kw_only=True):
    """A push item in the form of pubtools-quay."""

    metadata: PubtoolsMetadata


class PushRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A push: its items, and the target that they go to.

    `target` names a target of the worker's settings; `target_settings` describes one, without secrets. Without either,
    each destination repository includes its host. `atomic` names the scope, an item or the push, whose tags move only
    if all of its copies succeeded; without it, a tag waits only for the copies that it needs itself. `tries` is the
    most tries of each task of the push, and overrides the number of the target.
    """

    push_id: PushId | None = None
    target: str | None = None
    target_settings: dict[str, Any] | None = None
    items: list[PushItem] | None = None
    push_items: list[PubtoolsItem] | None = None
    atomic: Atomic | None = None
    tries: Annotated[int, Meta(ge=1)] | None = None


class Fault(msgspec.Struct, frozen=True):
    """An error: a stable code, its side, and a message that says what happened, where, and what to do."""

    code: str
    message: str
    side: ErrorSide | None = None

    @classmethod
    def of(cls, error: ImagePusherError) -> "Fault":
        """Return the form of an error in a report."""
        return cls(error.code, str(error), None if error.side is None else error.side.value)


class Notice(msgspec.Struct, frozen=True):
    """A warning that is part of a result: a stable code, and a message that says what happened and where."""

    code: str
    message: str


class ReferrerLeft(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest that refers to the image and was not copied with it."""

    digest: str
    artifact_type: str = ""
    reason: LeftReason
    error: Fault | None = None


class TagReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one destination tag; a digest is None if there was, or is, no tag.

    `referrers` is the number of referrers of the image at the destination, by artifact type.
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
    """Tell whether a tag makes its push fail; a tag that was skipped for holding a newer image does not."""
    return tag.action not in DONE and not is_harmless(tag.error)


def is_harmless(fault: Fault | None) -> bool:
    """Tell whether a fault only says why a tag was skipped as it should be (BEHAVIOUR 10.4)."""
    return fault is not None and fault.code == OlderThanDestination.code


class ItemReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one item."""

    source: str
    kind: Kind | None = None
    digest: str | None = None
    error: Fault | None = None
    tags: list[TagReport] = []


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over all repositories: bytes of blobs, numbers of blobs and of manifests, and wall time in seconds."""

    bytes_copied: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_skipped: int = 0
    manifests_copied: int = 0
    seconds: float = 0.0


class PushReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a push.

    `warnings` are those about its request, and those in the answers of registries. `producer` signed the request; it is
    None for an operator, or if messages are not signed.
    """

    push_id: str
    state: State
    items: list[ItemReport]
    totals: Totals
    warnings: list[str] = []
    producer: str | None = None


class TagMoved(msgspec.Struct, frozen=True, kw_only=True):
    """The event of a tag that moved, for programs that sign or notify; `platforms` maps platforms to digests.

    `unsigned` are the digests of the manifests that this push made: no signature of the source covers them. An event
    may be sent more than once: `push_id`, `reference` and `new_digest` together identify it.
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
    """The effect of one copy in one repository; `present` says that the manifest is there with all its parts."""

    repository: str
    present: bool = False
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_skipped: int = 0
    bytes_copied: int = 0
    error: Fault | None = None


class CopyPreview(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of one copy."""

    digest: str
    source: str
    platform: str | None = None
    repositories: list[RepositoryPreview] = []


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of a push: the actions of its tags, and its copies. It was found with pull scope only."""

    items: list[ItemReport]
    copies: list[CopyPreview]
    warnings: list[str] = []


class TagVerification(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of one tag with its report; `missing` lists the digests that the tag needs and that are absent."""

    reference: str
    expected_digest: str
    found_digest: str | None = None
    missing: list[str] = []
    error: Fault | None = None


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of the destinations with the report of a push."""

    push_id: str
    state: Literal["verified", "broken"]
    tags: list[TagVerification]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of one tag that moved; `error` is set if the receipt is missing or invalid.

    `bundle` is the signed bundle, `statement` its content. `digest` is that of the manifest that links the bundle to
    the image; `attached` tells whether the destination accepted that manifest.
    """

    reference: str
    digest: str | None = None
    attached: bool = False
    statement: dict[str, Any] | None = None
    bundle: dict[str, Any] | None = None
    error: Fault | None = None


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """The receipts of a push, and whether each moved tag has a receipt that is signed by one of the given keys."""

    push_id: str
    state: Literal["verified", "broken"]
    receipts: list[Receipt]


class TagUndo(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an undo for one tag; `moved` means that someone else had moved the tag, which was left alone.

    A `skipped` tag of a release stays as the push made it, since another tag of the release cannot be put back.
    """

    reference: str
    action: Literal["restored", "deleted", "moved", "failed", "skipped"]
    digest: str | None = None
    error: Fault | None = None


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an undo."""

    push_id: str
    state: State
    tags: list[TagUndo]


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """The hold on a tag that an operator froze: no push moves the tag until its release. Seconds since the epoch.

    `by` is the user of the page who froze the tag, or the account that ran the command.
    """

    reference: str
    why: str
    since: float
    by: str | None = None


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One move of a tag by a push; seconds since the epoch. `undone` is None unless the move was undone."""

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
    """The progress of one copy: `done` of `total` bytes of blobs are at the destination, moved or found there.

    `source` and `platform` name the image, if the ledger knows them.
    """

    digest: str
    done: int = 0
    total: int = 0
    ended: bool = False
    failed: bool = False
    source: str | None = None
    platform: str | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A wait of one part of a push, for a registry or for Redis; seconds since the epoch."""

    reason: Fault
    since: float
    until: float


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a push; seconds since the epoch.

    `interrupted`: a push without a broker whose process has ended. `refused`: a push whose request broke a rule.
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
    """Return the push id of a request, valid or not: its `push_id` if that is a text, else the id of its task."""
    given = request.get("push_id") if isinstance(request, dict) else None
    return given if given and isinstance(given, str) else task_id


def is_same_request(one: Any, other: Any) -> bool:
    """Tell whether two requests are equal apart from their `push_id`."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, "push_id": None} == {**other, "push_id": None}
    return bool(one == other)


def is_push_id(text: str) -> bool:
    """Tell whether a text is a valid push id, which is safe as a part of a key."""
    return re.fullmatch(_PUSH_ID, text) is not None
