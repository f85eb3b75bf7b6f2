"""The ledger for readers: without Celery or a worker, and in embedded mode without Redis."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import msgspec

from tasks import contract
from tasks.coordination.ledger import HashLedger
from tasks.coordination.local.sqlite import FileHashes
from tasks.errors import SettingsInvalid
from tasks.transfer.ports import Ledger
from workers.running_pushes import RunningPushes
from workers.settings import Settings

# A person waits: report an unreachable Redis soon.
_PATIENCE_SECONDS: Final = 5.0
_FILE: Final = "ledger.sqlite3"


class LocalLedger(HashLedger):
    """The ledger of the embedded mode, which distinguishes running pushes from interrupted ones."""

    def __init__(self, hashes: FileHashes, running: RunningPushes, history_seconds: float | None = None) -> None:
        super().__init__(hashes, history_seconds=history_seconds)
        self._running = running

    def progress(self, push_id: str) -> contract.Progress:
        """Return the progress of a push; raises PushUnknown."""
        if super().progress(push_id).state in contract.ENDED or self._running.is_running(push_id):
            return super().progress(push_id)
        # The push may have ended between the two reads.
        progress = super().progress(push_id)
        if progress.state in contract.ENDED:
            return progress
        return msgspec.structs.replace(progress, state="interrupted")


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """Yield the ledger of the broker's workers or of the embedded mode; raises SettingsInvalid."""
    if settings.broker_url is None:
        with closing(open_hashes(settings)) as hashes:
            yield LocalLedger(hashes, RunningPushes(settings.state_dir), settings.history_seconds)
        return
    from tasks.coordination.redis.hashes import RedisHashes  # noqa: PLC0415 - the embedded mode needs no Redis
    from workers.broker.redis_client import connect  # noqa: PLC0415 - as above

    shared = RedisHashes(connect(settings, _PATIENCE_SECONDS), settings.ledger_seconds)
    yield HashLedger(shared, history_seconds=settings.history_seconds)


def open_hashes_to_look(settings: Settings) -> FileHashes:
    """Open the file in the state folder, if it is usable: a dry run needs none."""
    try:
        if (settings.state_dir / _FILE).is_file():
            return open_hashes(settings)
    except (OSError, SettingsInvalid):
        pass
    return FileHashes(None, settings.ledger_seconds)


def open_hashes(settings: Settings) -> FileHashes:
    """Open the file in the state folder; raises SettingsInvalid if the folder is unusable."""
    path = settings.state_dir / _FILE
    try:
        return FileHashes(path, settings.ledger_seconds)
    except (OSError, sqlite3.OperationalError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsInvalid(
            f"The state folder {settings.state_dir} cannot be used: {reason}. Make room there,"
            " or let state_dir (IMAGEPUSHER_STATE_DIR) name a folder that you may write to."
        ) from None
    except sqlite3.DatabaseError as error:
        raise SettingsInvalid(
            f"The ledger {path} is damaged ({error}): move it away, and it begins anew. It held the pushes that are"
            " remembered here, not the images."
        ) from None
