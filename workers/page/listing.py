"""The list of pushes, filtered and paged, the latest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec

from tasks import contract
from tasks.errors import PushUnknown
from tasks.transfer.ports import CalledOff, PageLedger
from tasks.transfer.request.outline import outlined
from workers.amounts import progress_of
from workers.recorded_push import remember

ROWS: Final = 50
# The number of pushes to read at once during a search.
_AT_ONCE: Final = 500
OPEN: Final = "open"


@dataclass(frozen=True)
class Choice:
    """The filter of the list: `text` in the push id or a reference, and a state; `page` counts from 1."""

    text: str = ""
    state: str = ""
    page: int = 1


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One push in the list; in bytes, bytes per second and seconds since the epoch.

    `source` and `destination` are the first of the push; `images` and `repositories` count all.
    """

    push_id: str
    state: str
    producer: str | None
    source: str | None
    images: int
    destination: str | None
    repositories: int
    tags: int
    tags_done: int
    bytes_done: int
    bytes_total: int
    rate: float
    created: float
    updated: float


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the list; `remembered` counts all pushes of the ledger, whatever the filter."""

    pushes: list[Row]
    page: int
    more: bool
    remembered: int


def list_pushes(ledger: PageLedger, choice: Choice) -> Listing:
    """Return one page of the chosen pushes."""
    known = ledger.push_ids()
    start = (choice.page - 1) * ROWS
    found = list(islice(_chosen(ledger, known, choice), start, start + ROWS + 1))
    rows = [row for push_id in found[:ROWS] if (row := _row(ledger, push_id)) is not None]
    return Listing(pushes=rows, page=choice.page, more=len(found) > ROWS, remembered=len(known))


def _chosen(ledger: PageLedger, known: Sequence[str], choice: Choice) -> Iterator[str]:
    """Yield the chosen ids; read the ledger only as far as the caller iterates."""
    text = choice.text.strip().casefold()
    for start in range(0, len(known), _AT_ONCE):
        ids = known[start : start + _AT_ONCE]
        if choice.state:
            known_states = zip(ids, ledger.ended_states(ids), ledger.called_off(ids), strict=True)
            ids = [each for each, ended, called in known_states if _is_in(ledger, each, ended, called, choice.state)]
        if text:
            requests = ledger.requests(ids)
            pairs = zip(ids, requests, strict=True)
            ids = [push_id for push_id, request in pairs if text in _searched(push_id, request)]
        yield from ids


def _is_in(ledger: PageLedger, push_id: str, ended: str | None, called_off: CalledOff | None, chosen: str) -> bool:
    """Tell whether a push is in the chosen state, as its row shows it."""
    if ended is not None:
        return chosen == (called_off or ended)
    try:
        # Only a few pushes are running: read each of them.
        return chosen in {OPEN, called_off or ledger.progress(push_id).state}
    except PushUnknown:
        return False


def _searched(push_id: str, request: dict[str, Any] | None) -> str:
    references = [reference for pair in references_of(request) for reference in (pair[0], *pair[1])]
    return "\n".join([push_id, *references]).casefold()


def references_of(request: dict[str, Any] | None) -> list[tuple[str, list[str]]]:
    """Return the source and destinations (repository:tag) of each item of a request, which may be malformed."""
    return [
        (
            str(source),
            [
                f"{repository}:{tag}"
                for repository, tags in destinations.items()
                for tag in (tags if isinstance(tags, list) else [])
            ],
        )
        for source, destinations in outlined(request)
    ]


def _row(ledger: PageLedger, push_id: str) -> Row | None:
    """Return a row of the list, None if the record of the push has expired."""
    try:
        progress = ledger.progress(push_id)
    except PushUnknown:
        return None
    remembered = remember(ledger, progress)
    pairs = list(outlined(ledger.request(push_id)))
    repositories = list(dict.fromkeys(str(name) for _, destinations in pairs for name in destinations))
    done, total, _ = progress_of(progress)
    return Row(
        push_id=push_id,
        state=remembered.state,
        producer=remembered.producer,
        source=remembered.outline["source"],
        images=len(pairs),
        destination=repositories[0] if repositories else None,
        repositories=len(repositories),
        tags=progress.tags,
        tags_done=remembered.tags_done,
        bytes_done=done,
        bytes_total=total,
        rate=_rate(progress, done),
        created=progress.created,
        updated=progress.updated,
    )


def _rate(progress: contract.Progress, done: int) -> float:
    seconds = progress.updated - progress.created
    return done / seconds if seconds > 0 else 0.0
