"""The request of a push."""

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

RequestedKind = Literal["auto", "source", "image"]
SingleArch = Literal["refuse", "copy", "merge"]
Atomic = Literal["item", "push"]
Overwrite = Literal["always", "same", "never"]
PlatformRemoval = Literal["allow", "refuse"]
ForwardOnly = Literal["version", "created"]
Irreversible = Literal["refuse", "accept"]
# The expectation that a tag does not exist.
ABSENT: Final = "absent"

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
