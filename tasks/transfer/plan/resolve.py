"""Read all that a plan needs: each source, resolved once, and each destination tag (BEHAVIOUR sections 2 and 3)."""

from concurrent.futures import Executor

import msgspec

from tasks.errors import ImagePusherError, Side
from tasks.oci.merge import MergeRules
from tasks.oci.reference import Reference
from tasks.registry.repository import Registries
from tasks.transfer.plan.decide import MergePolicy, decide
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.look import read_current, read_source, read_subjects
from tasks.transfer.plan.plan import PlannedTag, eligible
from tasks.transfer.request.validation import Order, OrderItem

Findings = tuple[list[SourceImage | ImagePusherError], list[list[PlannedTag]]]


def prepare(order: Order, registries: Registries, executor: Executor, *, push: bool) -> Findings:
    """Return what was found of each item's source, and of its tags; errors are part of it.

    With `push` off, as in a dry run, only pull scope is asked for.
    """
    rules = MergeRules(order.target.exact_os_version)
    sources = list(executor.map(lambda item: _source(item, order, registries, rules), order.items))
    work = [
        (item, source, reference)
        for item, source in zip(order.items, sources, strict=True)
        for reference in item.destinations
    ]
    looked = iter(
        list(
            executor.map(
                lambda part: _tag(part[0], part[1], part[2], registries=registries, rules=rules, push=push), work
            )
        )
    )
    return sources, [[next(looked) for _ in item.destinations] for item in order.items]


def policy_of(item: OrderItem, rules: MergeRules) -> MergePolicy:
    """Return the item's word on merging."""
    return MergePolicy(item.merge, item.single_arch, rules)


def _source(item: OrderItem, order: Order, registries: Registries, rules: MergeRules) -> SourceImage | ImagePusherError:
    try:
        return read_source(
            registries.repository(item.source.registry, item.source.repository, "source"),
            item.source,
            kind=item.kind,
            single_arch=item.single_arch,
            eligible=eligible(item, order.target.platforms),
            rules=rules,
        )
    except ImagePusherError as error:
        return error.on(Side.SOURCE)


def _tag(
    item: OrderItem,
    source: SourceImage | ImagePusherError,
    reference: Reference,
    *,
    registries: Registries,
    rules: MergeRules,
    push: bool,
) -> PlannedTag:
    planned = PlannedTag(reference=reference, action="failed")
    if isinstance(source, ImagePusherError):
        return msgspec.structs.replace(planned, error=source)
    repository = registries.repository(reference.registry, reference.repository, "destination", push=push)
    policy = policy_of(item, rules)
    try:
        current = read_current(repository, reference.identifier, source, policy)
        subjects = read_subjects(repository, current)
        decision = decide(source, current, policy_of(item, MergeRules(rules.exact_os_version, subjects)))
    except ImagePusherError as error:
        return msgspec.structs.replace(planned, error=error.on(Side.DESTINATION))
    return msgspec.structs.replace(
        planned,
        action=decision.action,
        old_digest=current.digest if current else None,
        new_digest=decision.digest,
        kept_platforms=decision.kept_platforms,
    )
