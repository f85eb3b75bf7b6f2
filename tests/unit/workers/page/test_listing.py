"""The list of pushes reads what it shows, however many the ledger remembers."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing

import pytest

from tasks.coordination.hashes import Place
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.sqlite import FileHashes
from tests.unit.workers.page.conftest import remember
from workers.page.listing import OPEN, ROWS, Choice, list_pushes

MANY = 5000


class CountedHashes:
    """Hashes that count the questions to them, each of which would be a way to Redis and back."""

    def __init__(self, behind: FileHashes) -> None:
        self._behind = behind
        self.asked = 0

    def put(self, records: Mapping[str, Mapping[str, bytes]], *, seconds: float | None = None) -> None:
        self._behind.put(records, seconds=seconds)

    def fetch(self, *places: Place) -> list[bytes | None]:
        self.asked += 1
        return self._behind.fetch(*places)

    def all(self, key: str) -> dict[str, bytes]:
        self.asked += 1
        return self._behind.all(key)

    def size(self, key: str) -> int:
        self.asked += 1
        return self._behind.size(key)

    def increment(self, key: str, field: str) -> int:
        return self._behind.increment(key, field)

    def exchange(
        self,
        place: tuple[str, str],
        records: Mapping[str, Mapping[str, bytes]],
        *,
        over: Collection[bytes] | None = None,
    ) -> bytes | None:
        return self._behind.exchange(place, records, over=over)

    def drop(self, key: str, *fields: str) -> None:
        self._behind.drop(key, *fields)

    def drop_up_to_last(self, place: tuple[str, str], key: str, *fields: str) -> None:
        self._behind.drop_up_to_last(place, key, *fields)

    def delete(self, *keys: str) -> None:
        self._behind.delete(*keys)


@pytest.fixture(scope="module")
def hashes() -> Iterator[CountedHashes]:
    behind = FileHashes(None, 600)
    counted = CountedHashes(behind)
    ledger = HashLedger(counted)
    for number in range(MANY):
        remember(
            ledger,
            f"p{number:04}",
            state=None if number % 1000 == 0 else "failed" if number % 100 == 1 else "succeeded",
        )
    yield counted
    behind.close()


@pytest.mark.parametrize(
    ("choice", "first", "found"),
    [
        (Choice(), "p4999", ROWS),
        (Choice(page=100), "p0049", ROWS),
        (Choice(state="failed"), "p4901", ROWS),
        (Choice(state=OPEN), "p4000", 5),
        (Choice(text="p012"), "p0129", 10),
        (Choice(text="app:new", state="succeeded"), "p4999", ROWS),
    ],
)
def test_a_page_of_thousands_costs_little_more_than_its_rows(
    hashes: CountedHashes, choice: Choice, first: str, found: int
) -> None:
    hashes.asked = 0
    listing = list_pushes(HashLedger(hashes), choice)
    assert (listing.pushes[0].push_id, len(listing.pushes), listing.remembered) == (first, found, MANY)
    assert hashes.asked < 12 * ROWS


def test_a_push_that_was_called_off_is_found_by_the_state_that_its_row_shows() -> None:
    with closing(FileHashes(None, 600)) as behind:
        ledger = HashLedger(behind)
        for push_id in ("stays", "undone", "not-undone"):
            remember(ledger, push_id, state="succeeded")
        remember(ledger, "cancelled", state="failed")
        remember(ledger, "stopping")
        for push_id in ("cancelled", "stopping"):
            ledger.mark_cancelled(push_id)
        ledger.mark_undone("undone", "partial")
        ledger.mark_undone("not-undone", "failed")
        for state, found in (
            ("succeeded", {"stays", "not-undone"}),
            ("failed", set()),
            ("cancelled", {"cancelled", "stopping"}),
            ("undone", {"undone"}),
            (OPEN, {"stopping"}),
        ):
            assert {push.push_id for push in list_pushes(ledger, Choice(state=state)).pushes} == found, state


def test_a_push_whose_record_has_expired_is_left_out() -> None:
    with closing(FileHashes(None, 600)) as behind:
        ledger = HashLedger(behind)
        for push_id in ("a", "b", "c"):
            remember(ledger, push_id)
        behind.delete("imagepusher:push:b")
        assert [push.push_id for push in list_pushes(ledger, Choice()).pushes] == ["c", "a"]
        assert list_pushes(ledger, Choice(state=OPEN)).pushes[-1].push_id == "a"
