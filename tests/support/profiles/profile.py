"""The switches in which registries differ; the defaults are a plain, strict OCI 1.1 registry without a login."""

from dataclasses import dataclass, field
from typing import Literal

from tests.support.profiles.answers import Refusal

MIB = 1 << 20

NAME_UNKNOWN = Refusal(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": "{repository}"})
MANIFEST_UNKNOWN = Refusal(404, "MANIFEST_UNKNOWN", "manifest unknown", {})
DIGEST_INVALID = Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
UNSUPPORTED = Refusal(405, "UNSUPPORTED", "The operation is unsupported.")
DENIED = Refusal(403, "DENIED", "requested access to the resource is denied")
UNAUTHORIZED = Refusal(401, "UNAUTHORIZED", "authentication required", [])
TOO_LARGE = Refusal(413, "MANIFEST_INVALID", "manifest is larger than this registry takes")
IMMUTABLE = Refusal(409, "TAG_IMMUTABLE", "tag {tag} is immutable")
WRONG_LOGIN = Refusal(401, "UNAUTHORIZED", "incorrect username or password")
DISABLED = Refusal(405, "DENIED", "Namespace {namespace} has been disabled")
QUOTA = Refusal(403, "DENIED", "quota of {namespace} exceeded")
READ_ONLY = Refusal(503, "UNAVAILABLE", "the registry is read-only")


@dataclass(frozen=True, kw_only=True)
class UploadRules:
    """Which forms of upload are taken, and how sessions are talked about.

    `put_limit`, `patch_limit` and `part_limit` (of a PATCH with Content-Range) are bytes of one body; where
    `limit_body` is "none" the connection ends without an answer to a larger one. `chunk_min` and `chunk_max` are
    announced too. `several_patches` says what becomes of a blob in several PATCHes: it is stored
    (`taken`), committed with other bytes without a word (`corrupt`), cut down to its last part (`keep_last`), or the
    second PATCH is refused. With `ranges` of "quay" an open session says how many bytes it holds, not the last
    position. `content_range` "ignored" takes any part as the next one. A mount is carried out (where the repository
    that it names may be read), answered with a session, denied, or answered as if it were carried out (`phantom`).
    """

    put_limit: int | None = None
    put_refusal: int = 413
    patch_limit: int | None = None
    part_limit: int | None = None
    limit_body: Literal["json", "page", "none"] = "json"
    several_patches: Literal["taken", "corrupt", "keep_last", "refused"] = "taken"
    chunk_min: int | None = None
    chunk_max: int | None = None
    patch_status: int = 202
    ranges: Literal["spec", "quay"] = "spec"
    content_range: Literal["checked", "ignored"] = "checked"
    relative_location: bool = False
    post_with_digest: bool = False
    wrong_digest: Refusal = DIGEST_INVALID
    mount: Literal["mounted", "session", "denied", "phantom"] = "mounted"
    uploaded_blob_seconds: float = 3600


@dataclass(frozen=True, kw_only=True)
class ManifestRules:
    """Which manifests are taken, and how long they live without a tag.

    `untagged`: they `stay`; are 404 unless a tag, a temporary tag or an ancestor that has one holds them (`hidden`;
    their bytes stay until `time_machine_seconds` have passed); or go as soon as their tag moves (`dropped`).
    `accept`: a manifest is sent as it is, or an index that Accept does not name is converted to schema 1 (Quay), or
    replaced by its linux/amd64 image (docker list) and 404 (OCI index), as Distribution does. `head_digest` says which
    digest a HEAD of a tag announces.
    """

    untagged: Literal["stay", "hidden", "dropped"] = "stay"
    temporary_tag_seconds: float = 3600
    time_machine_seconds: float = 14 * 86400
    missing_part: Literal["named", "quay"] = "named"
    sparse_indexes: bool | None = None
    docker_list_of_oci: bool = True
    docker_needs_history: bool = False
    max_bytes: int = 4 * MIB
    too_large: Refusal = TOO_LARGE
    accept: Literal["as_it_is", "schema1", "distribution"] = "as_it_is"
    several_tags: bool = False
    subject_refusal: Refusal | None = None
    digest_as_tag: bool = False
    head_digest: Literal["own", "another"] = "own"


@dataclass(frozen=True, kw_only=True)
class TagRules:
    """How tags are listed, deleted and kept from moving.

    `delete` says what may be named: a tag or a digest, a digest only, or nothing. By digest all tags of it go. So many
    looks at a tag that was written (`lag`) still find what it held before.
    """

    lag: int = 0
    page_limit: int | None = None
    ignores_n: bool = False
    delete: Literal["both", "digest", "none"] = "both"
    delete_refusal: Refusal = UNSUPPORTED
    deleted: Refusal = MANIFEST_UNKNOWN
    immutable: Refusal = IMMUTABLE


@dataclass(frozen=True, kw_only=True)
class AccessRules:
    """Who is let in, and what makes a repository.

    `creates`: an upload (`push`), a token with that right (`token`), or nothing. Where `namespace_missing` is None a
    namespace that does not exist is answered like a right that is missing. `broken`: a page with a login form in
    place of every answer, or a 401 that does not say how to log in.
    """

    scheme: Literal["none", "basic", "bearer"] = "none"
    token_path: str = "/token"
    token_seconds: float = 300
    token_keys: tuple[str, ...] = ("token",)
    names_expiry: bool = True
    exchange_path: str | None = None
    creates: Literal["push", "token", "never"] = "push"
    quay_api: bool = False
    harbor_api: bool = False
    creates_private: bool = False
    anonymous_pull: bool = True
    delete_action: Literal["delete", "push"] = "delete"
    repository_unknown: Refusal = NAME_UNKNOWN
    namespace_missing: Refusal | None = None
    right_missing: Refusal = UNAUTHORIZED
    wrong_login: Refusal = WRONG_LOGIN
    namespace_disabled: Refusal = DISABLED
    broken: Literal["login_page", "no_challenge"] | None = None


@dataclass(frozen=True, kw_only=True)
class StateRules:
    """The words for a full, and for a read-only, registry; `quota_at` says which requests look at the quota."""

    quota: Refusal = QUOTA
    quota_at: frozenset[Literal["upload", "manifest"]] = frozenset({"upload", "manifest"})
    read_only: Refusal = READ_ONLY


@dataclass(frozen=True, kw_only=True)
class ReferrerRules:
    """Whether the referrers API is there, with so many entries a page.

    With `names_subject` a manifest's answer has the header `OCI-Subject`. `subject_unknown` refuses to list the
    referrers of a manifest that is not there.
    """

    api: bool = True
    page_limit: int = 100
    filters: bool = True
    names_subject: bool = True
    subject_unknown: Refusal | None = None


@dataclass(frozen=True, kw_only=True)
class RedirectRules:
    """Which reads are answered with a signed URL of another host; it is good for GET only, for so many seconds.

    With `heads` a HEAD is sent there too, where it is refused.
    """

    what: frozenset[Literal["blobs", "manifests"]] = frozenset()
    heads: bool = True
    signed_seconds: float = 600


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """Answer 429 after so many requests in so many seconds.

    `counts`: all requests, or GETs of manifests only. `words`: the JSON of a pull limit, a page (abuse), or no body.
    """

    requests: int
    seconds: float
    counts: Literal["all", "manifest_gets"] = "all"
    words: Literal["pull_limit", "page", "empty"] = "pull_limit"
    retry_after: str | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One registry product. `interim` are 1xx answers before each answer; `warning` goes into a Warning header."""

    name: str = "strict"
    uploads: UploadRules = field(default_factory=UploadRules)
    manifests: ManifestRules = field(default_factory=ManifestRules)
    tags: TagRules = field(default_factory=TagRules)
    access: AccessRules = field(default_factory=AccessRules)
    state: StateRules = field(default_factory=StateRules)
    referrers: ReferrerRules = field(default_factory=ReferrerRules)
    redirects: RedirectRules = field(default_factory=RedirectRules)
    rate_limit: RateLimit | None = None
    warning: str | None = None
    interim: tuple[int, ...] = ()
