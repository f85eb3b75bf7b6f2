"""Compare the destination with the report of a push."""

from collections.abc import Iterable
from concurrent.futures import Executor

from tasks import contract
from tasks.errors import ImagePusherError, NotFound, Side
from tasks.oci.descriptor import Descriptor
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries, Repository
from tasks.transfer.graph import Node, parse_node, walk
from tasks.transfer.inspection.referrers import Content, expected_referrers, missing_referrers
from tasks.transfer.plan.plan import Plan
from tasks.transfer.plan.referrers import PlannedReferrer
from tasks.transfer.ports import KeptReceipt


def verify(
    report: contract.PushReport,
    registries: Registries,
    executor: Executor,
    plan: Plan | None = None,
    content: Content = lambda _: None,
    receipts: Iterable[KeptReceipt] = (),
) -> contract.Verification:
    """Compare each tag that did not fail, and the manifests and blobs that it needs, with the report.

    That includes its protective tag (BEHAVIOUR 4.8), and its referrers by the `plan` (BEHAVIOUR 9.2). `content` returns
    the kept bytes of their manifests. Its `receipts` are among them (BEHAVIOUR 9.7).
    """
    expected = expected_referrers(plan, report)
    for each in receipts:
        if each.attached:
            expected.setdefault(each.reference, []).append(each.planned)
    done = [tag for item in report.items for tag in item.tags if tag.action in {"copied", "merged", "unchanged"}]
    # Several items may have gone to one tag, one after the other (BEHAVIOUR 1.5): the last one counts.
    tags = {tag.reference: tag for tag in done}
    looked = list(
        executor.map(lambda tag: _tag(tag, registries, expected.get(tag.reference, ()), content), tags.values())
    )
    broken = any(tag.error or tag.missing or tag.found_digest != tag.expected_digest for tag in looked)
    return contract.Verification(push_id=report.push_id, state="broken" if broken else "verified", tags=looked)


def _tag(
    tag: contract.TagReport, registries: Registries, referrers: Iterable[PlannedReferrer], content: Content
) -> contract.TagVerification:
    reference = Reference.parse(tag.reference)
    repository = registries.repository(reference.registry, reference.repository, "destination", push=True)
    expected = tag.new_digest or ""
    try:
        described = repository.resolve(reference.identifier)
        missing = [] if described is None else _missing(repository, described)
        missing += missing_referrers(repository, referrers, content)
        # A tag that was moved on needs no protection by this push.
        error = None if described is None or described.digest != expected else _unprotected(repository, tag)
    except ImagePusherError as refused:
        fault = contract.Fault.of(refused.on(Side.DESTINATION))
        return contract.TagVerification(reference=tag.reference, expected_digest=expected, error=fault)
    return contract.TagVerification(
        reference=tag.reference,
        expected_digest=expected,
        found_digest=described.digest if described else None,
        missing=missing,
        error=error,
    )


def _unprotected(repository: Repository, tag: contract.TagReport) -> contract.Fault | None:
    if tag.protective_tag is None:
        return None
    if tag.new_digest is not None and repository.digest_at(tag.protective_tag) == tag.new_digest:
        return None
    gone = NotFound(
        f"The protective tag {repository}:{tag.protective_tag} is gone, or is something else. Once the tag moves on,"
        " the registry may collect the merged index.",
        side=Side.DESTINATION,
    )
    return contract.Fault.of(gone)


def _missing(repository: Repository, root: Descriptor) -> list[str]:
    """Return the digests that a manifest needs, nested ones included, and that the repository lacks."""
    missing: list[str] = []

    def read(each: Descriptor) -> Node | None:
        try:
            return parse_node(each, repository.fetch_manifest(each.digest))
        except NotFound:
            missing.append(each.digest)
            return None

    for node in walk(root, read):
        missing += [blob.digest for blob in node.needs.blobs if not repository.has_blob(blob)]
    return missing
