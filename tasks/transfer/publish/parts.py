"""The parts of a process that move tags."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

import msgspec

from tasks.registry.repository import Registries
from tasks.transfer.copy.copier import Copier
from tasks.transfer.lost_starts import Attempts
from tasks.transfer.ports import Announcer, PublishLedger, TagLocks

if TYPE_CHECKING:
    from tasks.oci.signing import SigningKey


class Publishing(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a process that move tags.

    `executor` is for work on many tags, `requests` for requests that one of them needs: none waits for another.
    With a `receipt_key`, each tag that moves gets a receipt.
    """

    registries: Registries
    ledger: PublishLedger
    locks: TagLocks
    copier: Copier
    announcer: Announcer
    executor: Executor
    requests: Executor
    cancelled: threading.Event
    attempts: Attempts
    receipt_key: "SigningKey | None" = None
    clock: Callable[[], float] = time.time
