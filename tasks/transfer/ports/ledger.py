"""The ledger's ports, one for each role; the files beside this one have their parts.

`tasks/coordination/ledger.py` implements all of them. All writes may be repeated. All methods raise StateUnavailable.
"""

from typing import Protocol

from tasks.transfer.plan.tag_facts import TagFacts
from tasks.transfer.ports.copies import Copies, Outcomes
from tasks.transfer.ports.open_pushes import Listing, OpenPushes
from tasks.transfer.ports.overview import Interventions, Overview, Pages
from tasks.transfer.ports.parts import Pulse, Starts, Waits
from tasks.transfer.ports.plans import Plans
from tasks.transfer.ports.protections import Protections
from tasks.transfer.ports.reports import Reports, Warned
from tasks.transfer.ports.requests import Acceptance, Enqueued, Producers, Requests
from tasks.transfer.ports.stops import Cancellation, SpentTasks, Undos
from tasks.transfer.ports.tag_history import Moves, TagHolds
from tasks.transfer.ports.tags import Intents, Receipts, Releases, Tags


class Claims(Requests, Producers, Listing, SpentTasks, Protocol):
    """The ids of pushes, the producers of the pushes, and the tasks that are spent."""


class PushLedger(Warned, Acceptance, Producers, Plans, Starts, Reports, Undos, Cancellation, TagFacts, Protocol):
    """The part of the ledger that planning needs."""


class CopyLedger(Warned, Starts, Copies, Cancellation, Protocol):
    """The part of the ledger that a copy needs."""


class PublishLedger(
    Warned,
    Producers,
    Plans,
    Starts,
    Outcomes,
    Intents,
    Releases,
    Protections,
    Tags,
    Receipts,
    Reports,
    Undos,
    Cancellation,
    Moves,
    Protocol,
):
    """The part of the ledger that publishing needs."""


class RememberedLedger(Requests, Producers, Reports, Undos, Cancellation, Protocol):
    """The part of the ledger that shows the state of a push."""


class ClientLedger(Enqueued, Acceptance, Producers, Reports, Undos, Overview, Listing, TagHolds, Moves, Protocol):
    """The part of the ledger that a client needs."""


class PageLedger(
    Requests,
    Producers,
    Plans,
    Intents,
    Tags,
    Reports,
    Undos,
    Overview,
    TagHolds,
    Moves,
    Pages,
    Interventions,
    Protocol,
):
    """The part of the ledger that the page of pushes needs."""


class WatchdogLedger(Requests, Plans, Outcomes, Reports, OpenPushes, Pulse, Protocol):
    """The part of the ledger that the watchdog needs."""


class Ledger(Claims, PushLedger, CopyLedger, PublishLedger, ClientLedger, PageLedger, WatchdogLedger, Waits, Protocol):
    """The authoritative record of each push: its request, its plan, its outcomes, its report."""
