"""The event of a tag that moved."""

from typing import Literal

import msgspec

from tasks.contract.report import Kind


class TagMoved(msgspec.Struct, frozen=True, kw_only=True):
    """The event of a tag that moved, for programs that sign or notify; `platforms` maps platforms to digests.

    `unsigned` are the digests of the manifests that this push made: no signature of the source covers them. An event
    may be sent more than once: `push_id`, `reference` and `new_digest` together identify it.
    """

    push_id: str
    reference: str
    repository: str
    tag: str
    action: Literal["copied", "merged"]
    source: str
    source_digest: str
    kind: Kind
    old_digest: str | None
    new_digest: str
    platforms: dict[str, str] = {}
    unsigned: list[str] = []
