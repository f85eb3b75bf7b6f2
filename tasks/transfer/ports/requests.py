"""The requests of pushes, and who sent them."""

from typing import Any, Protocol

from tasks import contract


class Enqueued(Protocol):
    """Pushes on their way to a worker."""

    def enqueue(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        """Note that a push is enqueued; its result is that of `task_id`."""
        ...

    def note_waiting(self, push_id: str, task_id: str) -> None:
        """Note that one more task, not accepted yet, waits for the result of a known push."""
        ...


class Requests(Protocol):
    """The request of each push, and the task whose result is that of the push."""

    def request(self, push_id: str) -> dict[str, Any] | None:
        """Return the request of a push, None for an unknown push."""
        ...

    def task_id(self, push_id: str) -> str | None:
        """Return the task whose result is that of the push."""
        ...

    def updated(self, push_id: str) -> float | None:
        """Return the time of the last sign of life of a push's workers, in seconds since the epoch."""
        ...


class Acceptance(Requests, Protocol):
    """Pushes that workers take on."""

    def refuse(self, push_id: str, refusal: contract.Fault) -> None:
        """Note the fault of a refused push and forget its request, unless a push of that id was accepted before."""
        ...

    def accept(self, push_id: str, request: dict[str, Any], task_id: str) -> None:
        """Note that a worker accepted the push; the rest of its record stays. Its result is that of `task_id`."""
        ...

    def was_accepted(self, push_id: str, task_id: str) -> bool:
        """Tell whether a worker accepted the push from the message of this task before, in any run of the push."""
        ...

    def reopen(self, push_id: str) -> None:
        """Forget the report, the plan and the outcomes of a push that is to be planned anew.

        Intents stay, and so do releases that have begun and not ended. The tags that moved are remembered as those of
        an earlier run (BEHAVIOUR 7.7).
        """
        ...


class Producers(Protocol):
    """The producers who asked for pushes."""

    def note_producer(self, push_id: str, producer: str) -> None:
        """Note the producer who signed the request."""
        ...

    def producer(self, push_id: str) -> str | None:
        """Return the producer who signed the request; None for an operator, or if nobody signs."""
        ...
