"""The table of products: what each does differently from a plain OCI 1.1 registry.

`small` makes the limits of a profile small enough for tests whose blobs are a few kilobytes.
"""

from dataclasses import replace

from tests.support.profiles.answers import Refusal
from tests.support.profiles.profile import (
    MIB,
    AccessRules,
    ManifestRules,
    Profile,
    RateLimit,
    RedirectRules,
    ReferrerRules,
    StateRules,
    TagRules,
    UploadRules,
)

_NO_REFERRERS = ReferrerRules(api=False)

STRICT = Profile()

QUAY = Profile(
    name="quay",
    uploads=UploadRules(ranges="quay", wrong_digest=Refusal(400, "BLOB_UPLOAD_INVALID", "blob upload invalid", {})),
    manifests=ManifestRules(
        untagged="hidden",
        missing_part="quay",
        sparse_indexes=False,
        docker_list_of_oci=False,
        docker_needs_history=True,
        accept="schema1",
    ),
    tags=TagRules(
        page_limit=100,
        deleted=Refusal(
            404, "TAG_EXPIRED", "Tag {tag} was deleted or has expired. To pull, revive via time machine", {}
        ),
        immutable=Refusal(409, "TAG_IMMUTABLE", "tag is immutable", {"message": "Tag '{tag}' is immutable"}),
    ),
    access=AccessRules(
        scheme="bearer",
        token_path="/v2/auth",
        names_expiry=False,
        creates="token",
        quay_api=True,
        creates_private=True,
        delete_action="push",
        repository_unknown=Refusal(401, "UNAUTHORIZED", "access to the requested resource is not authorized", {}),
        right_missing=Refusal(401, "UNAUTHORIZED", "access to the requested resource is not authorized", {}),
        wrong_login=Refusal(401, "UNAUTHORIZED", "Invalid Username or Password", {}),
        namespace_disabled=Refusal(
            405, "DENIED", "Namespace {namespace} has been disabled. Please contact a system administrator.", {}
        ),
    ),
    state=StateRules(
        quota=Refusal(403, "DENIED", "Quota has been exceeded on namespace", {}),
        read_only=Refusal(
            405,
            "DENIED",
            "System is currently read-only. Pulls will succeed but all write operations are currently suspended.",
            {},
        ),
    ),
    referrers=ReferrerRules(
        names_subject=False, subject_unknown=Refusal(400, "MANIFEST_INVALID", "manifest invalid", {})
    ),
)

# Before 3.12.
QUAY_WITHOUT_REFERRERS = replace(QUAY, name="quay-3.11", referrers=_NO_REFERRERS)

DISTRIBUTION_2_8 = Profile(
    name="distribution-2.8",
    uploads=UploadRules(content_range="ignored"),
    manifests=ManifestRules(accept="distribution", too_large=Refusal(400, "MANIFEST_INVALID", "manifest invalid", {})),
    tags=TagRules(
        ignores_n=True,
        delete="digest",
        delete_refusal=Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content"),
    ),
    referrers=_NO_REFERRERS,
)

DISTRIBUTION_3_1 = replace(DISTRIBUTION_2_8, name="distribution-3.1", tags=TagRules())

HARBOR = Profile(
    name="harbor",
    tags=TagRules(
        immutable=Refusal(
            412, "PRECONDITION", "Failed to process request due to '{repository}:{tag}' configured as immutable."
        )
    ),
    access=AccessRules(
        scheme="bearer",
        token_path="/service/token",
        harbor_api=True,
        namespace_missing=Refusal(404, "NOT_FOUND", "project {namespace} not found"),
    ),
    state=StateRules(
        quota=Refusal(
            403,
            "DENIED",
            "adding 1.0 MiB of storage resource, which when updated to current usage will exceed the configured "
            "upper limit of project {namespace}",
        ),
        quota_at=frozenset({"manifest"}),
        read_only=Refusal(403, "DENIED", "the system is in read only mode. Any modification is prohibited."),
    ),
)

HARBOR_WITHOUT_MOUNTS = replace(HARBOR, name="harbor-no-mounts", uploads=UploadRules(mount="denied"))

ZOT = Profile(
    name="zot",
    uploads=UploadRules(relative_location=True),
    manifests=ManifestRules(untagged="dropped", several_tags=True),
    access=AccessRules(scheme="basic"),
)

ECR = Profile(
    name="ecr",
    uploads=UploadRules(chunk_min=5 * MIB, chunk_max=10 * MIB, patch_status=201),
    manifests=ManifestRules(subject_refusal=Refusal(405, "UNSUPPORTED", "Invalid parameter at 'ImageManifest'")),
    tags=TagRules(
        page_limit=1000,
        immutable=Refusal(
            400,
            "ImageTagAlreadyExistsException",
            "The image tag '{tag}' already exists in the '{repository}' repository and cannot be overwritten because "
            "the tag is immutable.",
        ),
    ),
    access=AccessRules(
        scheme="basic",
        creates="never",
        anonymous_pull=False,
        repository_unknown=Refusal(
            404,
            "NAME_UNKNOWN",
            "The repository with name '{repository}' does not exist in the registry with id '123456789012'",
        ),
    ),
    referrers=_NO_REFERRERS,
    redirects=RedirectRules(what=frozenset({"blobs"}), heads=False),
)

ECR_CREATE_ON_PUSH = replace(ECR, name="ecr-create-on-push", access=replace(ECR.access, creates="push"))

GHCR = Profile(
    name="ghcr",
    uploads=UploadRules(several_patches="corrupt", part_limit=4 * MIB),
    tags=TagRules(delete="none"),
    access=AccessRules(
        scheme="bearer",
        creates_private=True,
        delete_action="push",
        right_missing=Refusal(403, "DENIED", "permission_denied: The requested installation does not exist."),
    ),
    referrers=_NO_REFERRERS,
    rate_limit=RateLimit(requests=2000, seconds=60, words="page"),
)

DOCKER_HUB = Profile(
    name="docker-hub",
    uploads=UploadRules(put_limit=100 * MIB, put_refusal=400),
    tags=TagRules(delete="none"),
    access=AccessRules(
        scheme="bearer",
        token_keys=("token", "access_token"),
    ),
    referrers=_NO_REFERRERS,
    rate_limit=RateLimit(requests=200, seconds=6 * 3600, counts="manifest_gets"),
)

ARTIFACT_REGISTRY = Profile(
    name="artifact-registry",
    uploads=UploadRules(several_patches="refused"),
    tags=TagRules(page_limit=10_000),
    access=AccessRules(scheme="bearer", token_path="/v2/token"),
)

AZURE = Profile(
    name="azure",
    uploads=UploadRules(put_limit=20 * MIB, limit_body="page", relative_location=True),
    access=AccessRules(
        scheme="bearer",
        token_path="/oauth2/token",
        exchange_path="/oauth2/exchange",
        token_keys=("access_token",),
        token_seconds=75 * 60,
        names_expiry=False,
        delete_action="delete",
    ),
)

ARTIFACTORY = Profile(
    name="artifactory",
    uploads=UploadRules(put_limit=0, put_refusal=404, several_patches="keep_last"),
    access=AccessRules(scheme="basic"),
)

GITLAB = Profile(
    name="gitlab",
    manifests=ManifestRules(digest_as_tag=True),
    access=AccessRules(scheme="bearer", token_path="/jwt/auth"),
    referrers=_NO_REFERRERS,
)

LIMITING_PROXY = Profile(
    name="limiting-proxy", uploads=UploadRules(put_limit=100 * MIB, patch_limit=100 * MIB, limit_body="page")
)

DROPPING_PROXY = Profile(
    name="dropping-proxy", uploads=UploadRules(put_limit=100 * MIB, patch_limit=100 * MIB, limit_body="none")
)

ANNOUNCING_PROXY = Profile(
    name="announcing-proxy",
    uploads=UploadRules(
        put_limit=100 * MIB, patch_limit=100 * MIB, limit_body="page", chunk_min=1 * MIB, chunk_max=50 * MIB
    ),
)

REDIRECTING_STORE = Profile(name="redirecting-store", redirects=RedirectRules(what=frozenset({"blobs", "manifests"})))

CHATTY = Profile(name="chatty", interim=(102, 103), warning="this registry moves next week")

ALL = (
    STRICT,
    QUAY,
    QUAY_WITHOUT_REFERRERS,
    DISTRIBUTION_2_8,
    DISTRIBUTION_3_1,
    HARBOR,
    HARBOR_WITHOUT_MOUNTS,
    ZOT,
    ECR,
    ECR_CREATE_ON_PUSH,
    GHCR,
    DOCKER_HUB,
    ARTIFACT_REGISTRY,
    AZURE,
    ARTIFACTORY,
    GITLAB,
    LIMITING_PROXY,
    DROPPING_PROXY,
    ANNOUNCING_PROXY,
    REDIRECTING_STORE,
    CHATTY,
)


def small(profile: Profile, divisor: int = 1024) -> Profile:
    """Return a profile whose limits of uploads, in bytes, are divided: megabytes become kilobytes."""
    rules = profile.uploads

    def smaller(limit: int | None) -> int | None:
        return None if limit is None else limit // divisor

    return replace(
        profile,
        uploads=replace(
            rules,
            put_limit=smaller(rules.put_limit),
            patch_limit=smaller(rules.patch_limit),
            part_limit=smaller(rules.part_limit),
            chunk_min=smaller(rules.chunk_min),
            chunk_max=smaller(rules.chunk_max),
        ),
    )
