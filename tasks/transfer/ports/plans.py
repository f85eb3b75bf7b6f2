"""The plans of pushes."""

from typing import Protocol

from tasks.oci.digest import Digest
from tasks.transfer.plan.plan import Plan


class Plans(Protocol):
    """Plans, and the manifests that planning and publishing read."""

    def save_plan(self, plan: Plan) -> Plan:
        """Keep the plan of a push, and return the plan there: the first one stays (BEHAVIOUR 7.3)."""
        ...

    def plan(self, push_id: str) -> Plan | None:
        """Return the plan of a push, None if there is none yet, or no longer."""
        ...

    def mark_sent(self, push_id: str) -> None:
        """Note that the tasks of a push are being sent."""
        ...

    def was_sent(self, push_id: str) -> bool:
        """Tell whether the tasks of a push were being sent."""
        ...

    def keep_content(self, push_id: str, digest: Digest, content: bytes) -> None:
        """Keep the bytes of a manifest for as long as the push is remembered."""
        ...

    def content(self, push_id: str, digest: str) -> bytes | None:
        """Return the bytes of a manifest, None if they are not kept."""
        ...
