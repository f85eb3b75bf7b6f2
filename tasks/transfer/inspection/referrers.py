"""Look for the referrers of an image where the clients of a registry look for them (BEHAVIOUR 9.2)."""

from collections.abc import Callable, Iterable

from tasks import contract
from tasks.errors import ManifestInvalid, NotFound
from tasks.oci.cosign_tags import lacking
from tasks.oci.digest import Digest
from tasks.oci.referrers import fallback_tag, parse_list
from tasks.registry.repository import Repository
from tasks.transfer.plan.plan import Plan, ResolvedItem
from tasks.transfer.plan.referrers import PlannedReferrer
from tasks.transfer.plan.selected_referrers import parted

# The bytes of a manifest that a push kept, None if they are kept no longer.
Content = Callable[[Digest], bytes | None]


def expected_referrers(plan: Plan | None, report: contract.PushReport) -> dict[str, list[PlannedReferrer]]:
    """Return the referrers that a push brought along, by the reference of the tag."""
    expected: dict[str, list[PlannedReferrer]] = {}
    for item, told in zip(plan.items if plan is not None else (), report.items, strict=False):
        for tag in told.tags if isinstance(item, ResolvedItem) else ():
            if isinstance(item, ResolvedItem) and tag.action in contract.DONE:
                left = {each.digest for each in tag.referrers_left}
                coming, _ = parted(item, tag.new_digest)
                expected.setdefault(tag.reference, []).extend(each for each in coming if each.digest not in left)
    return expected


def missing_referrers(repository: Repository, expected: Iterable[PlannedReferrer], content: Content) -> list[str]:
    """Return the digests of the referrers that a client of the registry does not find; raises RegistryError."""
    missing = []
    lists: dict[Digest, frozenset[Digest]] = {}
    for each in expected:
        if each.tag is not None:
            found = _is_under_tag(repository, each.tag, each.digest, content)
        else:
            if each.subject not in lists:
                lists[each.subject] = _listed(repository, each.subject)
            found = each.digest in lists[each.subject] and repository.resolve(each.digest) is not None
        missing += [] if found else [each.digest]
    return list(dict.fromkeys(missing))


def _listed(repository: Repository, subject: Digest) -> frozenset[Digest]:
    listed = repository.referrers(subject)
    if listed is None:
        try:
            listed = parse_list(repository.fetch_manifest(fallback_tag(subject)).content)
        except (NotFound, ManifestInvalid, ValueError):
            listed = []
    return frozenset(each.digest for each in listed)


def _is_under_tag(repository: Repository, tag: str, digest: Digest, content: Content) -> bool:
    """Tell whether a tag of cosign holds a manifest, or another manifest with all of its layers."""
    held = repository.digest_at(tag)
    if held is None or held == digest:
        return held is not None
    ours = content(digest)
    try:
        return ours is None or not lacking(repository.fetch_manifest(tag).content, ours)
    except (NotFound, ManifestInvalid):
        return False
