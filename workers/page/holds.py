"""Holds of tags from the page, each recorded with its user: in the tag, and in the push that it was asked for."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from tasks import contract
from tasks.oci.reference import parse_tag_name
from tasks.transfer.ports import Intervention, PageLedger

HoldAction = Literal["hold", "release-hold"]
HOLD_ACTIONS: Final[tuple[HoldAction, ...]] = ("hold", "release-hold")


class Holds:
    """A setter of holds; `check` raises NotPermitted for a tag that the rules keep from this process."""

    def __init__(
        self, ledger: PageLedger, check: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger = ledger
        self._check = check
        self._clock = clock

    def change(self, action: HoldAction, tags: Sequence[str], user: str, why: str, push_id: str | None = None) -> None:
        """Freeze or release tags; raises NotPermitted before any of them changes.

        A tag that is on hold already keeps its reason.
        """
        held = {hold.reference: hold for hold in self._ledger.holds()}
        chosen = choose(tags, held, action)
        for tag in chosen:
            self._check(tag)
        begun = Intervention(action=action, user=user, at=self._clock())
        if push_id is not None:
            self._ledger.note_intervention(push_id, begun)
        for tag in chosen:
            outcome = self._change(tag, action, user, why)
            self._ledger.note_tag_intervention(tag, msgspec.structs.replace(begun, outcome=outcome))
        if push_id is not None:
            told = f"{len(chosen)} on hold: {why}" if action == "hold" else f"{len(chosen)} released"
            self._ledger.note_intervention(push_id, msgspec.structs.replace(begun, outcome=told))

    def _change(self, tag: str, action: HoldAction, user: str, why: str) -> str:
        if action == "hold":
            return f"on hold: {self._ledger.hold(tag, why, user).why}"
        hold = self._ledger.release_hold(tag)
        return "was not on hold" if hold is None else f"released, was on hold: {hold.why}"


def choose(tags: Iterable[str], held: Iterable[str], action: HoldAction) -> list[str]:
    """Return the tags that an action changes: `hold` those that are free, `release-hold` those on hold. Pure."""
    known = frozenset(held)
    return [tag for tag in tags if (tag in known) == (action == "release-hold")]


def possible_holds(tags: Iterable[str], held: Iterable[str]) -> list[HoldAction]:
    """Return the actions that would change at least one of the tags. Pure."""
    known, tags = frozenset(held), list(tags)
    return [action for action in HOLD_ACTIONS if choose(tags, known, action)]


def tag_names(items: Iterable[dict[str, Any]]) -> list[str]:
    """Return the full name of each tag of the items, once; digests, and names that are not valid, are left out."""
    names = (tag_name(tag["reference"]) for item in items for tag in item["tags"])
    return list(dict.fromkeys(name for name in names if name is not None))


def holds_on(ledger: PageLedger, tags: Iterable[str]) -> dict[str, contract.Hold]:
    """Return the holds on these tags, by tag."""
    wanted = frozenset(tags)
    return {hold.reference: hold for hold in ledger.holds() if hold.reference in wanted}


def tag_name(reference: str) -> str | None:
    """Return the full name of a tag in the ledger's spelling, None for anything else."""
    try:
        return parse_tag_name(reference)
    except ValueError:
        return None
