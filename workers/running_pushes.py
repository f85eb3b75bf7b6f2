"""The running pushes of the embedded mode: for each push, its process locks a file.

The kernel releases the lock when the process ends for any reason. A push that has not ended and whose file is not
locked was therefore interrupted (BEHAVIOUR 7.8).
"""

import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from tasks.errors import SettingsInvalid


class RunningPushes:
    """The running pushes of all processes that share this state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "running"
        self._held: dict[str, int] = {}

    def hold(self, push_id: str) -> None:
        """Lock the file of a push that this process runs; raises SettingsInvalid."""
        if push_id in self._held:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path(push_id), os.O_RDWR | os.O_CREAT, 0o600)
            # Shared: several processes may run the same push.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SettingsInvalid(
                f"The folder {self._folder} cannot be used: {reason}. Let state_dir (IMAGEPUSHER_STATE_DIR) name a"
                " folder that you may write to."
            ) from None
        self._held[push_id] = descriptor

    def release(self) -> None:
        """Release all pushes; remove each file that no other process has locked."""
        for push_id, descriptor in self._held.items():
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._path(push_id).unlink()
            os.close(descriptor)
        self._held.clear()

    def is_running(self, push_id: str) -> bool:
        """Tell whether any process runs the push."""
        try:
            descriptor = os.open(self._path(push_id), os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _path(self, push_id: str) -> Path:
        return self._folder / hashlib.sha256(push_id.encode()).hexdigest()
