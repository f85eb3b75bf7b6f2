"""Resolve the items of a push: each source once, and each destination tag (BEHAVIOUR sections 2 and 3)."""

from concurrent.futures import Executor
from typing import TYPE_CHECKING

from tasks.oci.merge import MergeRules
from tasks.oci.reference import Reference
from tasks.registry.preflight.preflight import Preflight
from tasks.registry.repository import Registries
from tasks.transfer.plan.entry_sizes import read_disputed_sizes
from tasks.transfer.plan.find_referrers import find_referrers
from tasks.transfer.plan.findings import Findings
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.new_tags import NewTags
from tasks.transfer.plan.plan import PlannedTag
from tasks.transfer.plan.plan_tags import TagPlanner
from tasks.transfer.plan.read_item import read_item
from tasks.transfer.plan.repositories import make_ready
from tasks.transfer.plan.source_sizes import Sizes
from tasks.transfer.plan.tag_facts import NoFacts, TagFacts
from tasks.transfer.request.valid import ValidRequest

if TYPE_CHECKING:
    from tasks.transfer.plan.keyless import TrustRoot


def resolve(
    request: ValidRequest,
    registries: Registries,
    executor: Executor,
    *,
    push: bool,
    facts: TagFacts | None = None,
    trust: "TrustRoot | None" = None,
) -> Findings:
    """Return the findings on the items of a request.

    Items that go to one tag are planned in their order, each on the result of the one before (BEHAVIOUR 1.5). Without
    `push`, as in a dry run, only pull scope is asked for. Raises StateUnavailable, which is no fault of a tag.
    """
    rules = MergeRules(request.target.exact_os_version)
    sources = list(executor.map(lambda item: read_item(item, request, registries, rules, trust), request.items))
    good = (item for item, found in zip(request.items, sources, strict=True) if isinstance(found, SourceImage))
    places = (reference.place for item in good for reference in item.destinations)
    ready = make_ready(places, registries, executor, request.target, push=push)
    sizes, preflight = Sizes(registries), Preflight()
    planner = TagPlanner(
        registries,
        rules,
        push,
        facts or NoFacts(),
        ready,
        preflight,
        NewTags(preflight),
        sizes,
        is_release=request.atomic is not None,
        disputed=read_disputed_sizes(sources, registries),
    )
    by_tag: dict[Reference, list[int]] = {}
    for number, item in enumerate(request.items):
        for reference in item.destinations:
            by_tag.setdefault(reference, []).append(number)

    def look(reference: Reference) -> dict[int, PlannedTag]:
        return planner.tags(
            reference, {number: (request.items[number], sources[number]) for number in by_tag[reference]}
        )

    # Neither needs the other: where registries are far away, this is a part of a small push.
    looking = executor.map(look, by_tag)
    referrers = find_referrers(sources, [item.referrers for item in request.items], registries, executor)
    planned = dict(zip(by_tag, looking, strict=True))
    tags = [
        [planned[reference][number] for reference in item.destinations] for number, item in enumerate(request.items)
    ]
    sources = [sizes.with_manifests(found) if isinstance(found, SourceImage) else found for found in sources]
    return Findings(sources, tags, referrers)
