"""The tags of a push, with the changes that it intended and made."""

from collections.abc import Collection
from typing import Protocol

from tasks import contract
from tasks.transfer.ports.records import EarlierTag, KeptReceipt, TagIntent


class Intents(Protocol):
    """The changes that a push made, or was about to make, by tag."""

    def record_intent(
        self, push_id: str, reference: str, intent: TagIntent, over: Collection[TagIntent] | None = None
    ) -> TagIntent | None:
        """Note an intent before the write, and return the one that was noted before.

        With `over`, one that is none of these stays.
        """
        ...

    def intent(self, push_id: str, reference: str) -> TagIntent | None:
        """Return the last intent at a tag."""
        ...

    def intents(self, push_id: str) -> dict[str, TagIntent]:
        """Return the last intent at each tag."""
        ...


class Releases(Protocol):
    """The direction of each release of a push: of all its tags, or of those of an item; and why one goes back."""

    def note_release(self, push_id: str, name: str, direction: str, over: Collection[str] | None = None) -> str | None:
        """Note the direction before the next step, or, under a name of its own, the reason; return what was noted.

        With `over`, a direction that is none of these stays.
        """
        ...

    def release(self, push_id: str, name: str) -> str | None:
        """Return the direction that was noted last, None before the first tag moves."""
        ...

    def note_release_at(self, reference: str, push_id: str, name: str) -> None:
        """Note the release that moves a tag."""
        ...


class Tags(Protocol):
    """The reports of the tags that are done."""

    def record_tag(self, push_id: str, key: str, tag: contract.TagReport) -> contract.TagReport:
        """Note the report of a tag under `key`, and return the report there: the first that was noted stays."""
        ...

    def tags(self, push_id: str) -> dict[str, contract.TagReport]:
        """Return the reports by key."""
        ...

    def earlier_tags(self, push_id: str) -> dict[str, EarlierTag]:
        """Return the tags that earlier runs of the push moved, by reference."""
        ...


class Receipts(Protocol):
    """The receipts of the tags that moved."""

    def keep_receipt(self, push_id: str, receipt: KeptReceipt) -> None:
        """Keep a receipt, for as long as the push is remembered."""
        ...

    def receipt(self, push_id: str, name: str) -> KeptReceipt | None:
        """Return the receipt of that name, None if there is none."""
        ...

    def receipts(self, push_id: str) -> list[KeptReceipt]:
        """Return all receipts of a push."""
        ...
