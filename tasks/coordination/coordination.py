"""What coordination gives to a process: through Redis, or on one machine."""

import msgspec

from tasks.coordination.hashes import Hashes
from tasks.registry.budget import Budgets
from tasks.registry.upload_forms import UploadForms
from tasks.transfer.ports import BlobLocations, Runs, SingleFlight, TagLocks


class Coordination(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers share: the ledger's hashes, their locks, and what they know of registries.

    `runs`, `locks` and `flights` keep workers out of each other's way, at parts of pushes, at tags and at blobs.
    `locations` are the repositories that hold blobs, `budgets` the requests that registries still take, `forms` the
    forms of uploads that they take.
    """

    hashes: Hashes
    runs: Runs
    locks: TagLocks
    flights: SingleFlight
    locations: BlobLocations
    budgets: Budgets
    forms: UploadForms
