"""All pushes and the interventions in them, for people."""

from collections.abc import Sequence
from typing import Any, Protocol

from tasks import contract
from tasks.transfer.ports.records import CalledOff, Intervention
from tasks.transfer.ports.stops import Cancellation


class Overview(Cancellation, Protocol):
    """All pushes, for people."""

    def mark_cancelled(self, push_id: str) -> None:
        """Note that the push is to stop."""
        ...

    def refusal(self, push_id: str) -> contract.Fault | None:
        """Return the fault of a refused push, None if it was not refused."""
        ...

    def progress(self, push_id: str) -> contract.Progress:
        """Return the progress of a push; raises PushUnknown."""
        ...

    def pushes(self) -> list[contract.Progress]:
        """Return the pushes that are remembered, the newest first."""
        ...


class Pages(Protocol):
    """The remembered pushes, page by page: each method reads all its ids at once."""

    def push_ids(self) -> list[str]:
        """Return the ids, the last sent first."""
        ...

    def ended_states(self, push_ids: Sequence[str]) -> list[contract.ProgressState | None]:
        """Return the final state of each push, None for a push that has not ended or is unknown."""
        ...

    def called_off(self, push_ids: Sequence[str]) -> list[CalledOff | None]:
        """Return whether somebody cancelled or undid each push, None for any other push."""
        ...

    def requests(self, push_ids: Sequence[str]) -> list[dict[str, Any] | None]:
        """Return the request of each push, None for an unknown push."""
        ...


class Interventions(Protocol):
    """The interventions of people in pushes and tags."""

    def note_intervention(self, push_id: str, intervention: Intervention) -> None:
        """Note the start or the outcome of an intervention; `at` identifies the intervention."""
        ...

    def interventions(self, push_id: str) -> list[Intervention]:
        """Return the interventions in a push, the oldest first."""
        ...

    def note_tag_intervention(self, reference: str, intervention: Intervention) -> None:
        """Note an intervention in a tag; it is kept as long as the tag's moves."""
        ...

    def tag_interventions(self, reference: str) -> list[Intervention]:
        """Return the interventions in a tag, the oldest first."""
        ...
