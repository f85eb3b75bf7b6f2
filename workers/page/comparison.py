"""The comparison of a push with the previous push of the same tags."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import msgspec

from tasks import contract
from tasks.transfer.ports import PageLedger
from workers.page.listing import references_of

# Older pushes are not read, so that the page loads fast.
_LOOKED_AT: Final = 500


class TagChange(msgspec.Struct, frozen=True, kw_only=True):
    """One tag in either or both pushes, with the digest that each push left there."""

    reference: str
    change: str
    before: str | None = None
    after: str | None = None
    platforms: list[str] = []


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A push and the push `before` it: the latest ended push that has tags in common with it."""

    before: str
    tags: list[TagChange]
    sources: list[str]


def compare_with_last(ledger: PageLedger, push_id: str, items: list[dict[str, Any]]) -> Comparison | None:
    """Return the changes, None if the ledger has no previous push of the same tags."""
    tags = {tag["reference"]: tag for item in items for tag in item["tags"]}
    before = _last_report(ledger, push_id, frozenset(tags))
    if before is None:
        return None
    former = {tag.reference: tag for item in before.items for tag in item.tags}
    sources = [item["source"] for item in items]
    changed = [source for source in sources if source not in {item.source for item in before.items}]
    return Comparison(before=before.push_id, tags=list(_changes(former, tags)), sources=changed)


def _last_report(ledger: PageLedger, push_id: str, tags: frozenset[str]) -> contract.PushReport | None:
    known = ledger.push_ids()
    older = known[known.index(push_id) + 1 :][:_LOOKED_AT] if push_id in known else []
    requests = zip(older, ledger.requests(older), strict=True) if older else ()
    common = (
        each
        for each, request in requests
        if any(not tags.isdisjoint(references) for _, references in references_of(request))
    )
    reports = (ledger.report(each) for each in islice(common, 10))
    return next((report for report in reports if report is not None), None)


def _changes(former: dict[str, contract.TagReport], tags: dict[str, dict[str, Any]]) -> Iterable[TagChange]:
    for reference, tag in tags.items():
        last = former.get(reference)
        after = None if tag.get("planned") else tag["new_digest"]
        if last is None:
            yield TagChange(reference=reference, change="only in this push", after=after)
            continue
        same = last.new_digest == after
        yield TagChange(
            reference=reference,
            change="not known yet" if tag.get("planned") else "same" if same else "changed",
            before=last.new_digest,
            after=after,
            platforms=sorted(set(tag["kept_platforms"]) ^ set(last.kept_platforms)),
        )
    for reference, last in former.items():
        if reference not in tags:
            yield TagChange(reference=reference, change="only in the push before", before=last.new_digest)
