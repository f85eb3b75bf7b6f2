"""What a push needs from outside the registries, and the records that pass through it."""

from tasks.transfer.ports.coordination import (
    INSPECTION,
    Announcer,
    BlobLocations,
    MayRetry,
    Runs,
    SingleFlight,
    TagLock,
    TagLocks,
)
from tasks.transfer.ports.ledger import (
    Claims,
    ClientLedger,
    CopyLedger,
    Ledger,
    PublishLedger,
    PushLedger,
    Starts,
    WatchdogLedger,
)
from tasks.transfer.ports.records import (
    CopyOutcome,
    EarlierTag,
    OpenPush,
    TagIntent,
    TagRecord,
    TakenCopy,
    UndoState,
    Written,
)

__all__ = [
    "INSPECTION",
    "Announcer",
    "BlobLocations",
    "Claims",
    "ClientLedger",
    "CopyLedger",
    "CopyOutcome",
    "EarlierTag",
    "Ledger",
    "MayRetry",
    "OpenPush",
    "PublishLedger",
    "PushLedger",
    "Runs",
    "SingleFlight",
    "Starts",
    "TagIntent",
    "TagLock",
    "TagLocks",
    "TagRecord",
    "TakenCopy",
    "UndoState",
    "WatchdogLedger",
    "Written",
]
