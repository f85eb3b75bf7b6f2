"""The result store of the embedded mode: a dictionary in the process, with chords counted in constant time.

Celery's own `cache+memory` reads all results of a chord's header whenever a part ends, and polls for results.
"""

import threading
from typing import Any

from celery import Celery
from celery.backends.base import KeyValueStoreBackend
from celery.canvas import Signature


class MemoryBackend(KeyValueStoreBackend):
    """Results by key, and the number of unfinished parts of each running chord."""

    persistent = False

    def __init__(self, app: Celery, **options: Any) -> None:
        super().__init__(app, **options)
        self._application = app
        self._results: dict[Any, Any] = {}
        self._open_parts: dict[str, int] = {}
        self.changed = threading.Condition()

    def get(self, key: Any) -> Any:
        return self._results.get(key)

    def mget(self, keys: list[Any]) -> list[Any]:
        return [self._results.get(key) for key in keys]

    def set(self, key: Any, value: Any) -> None:
        with self.changed:
            self._results[key] = value
            self.changed.notify_all()

    def delete(self, key: Any) -> None:
        self._results.pop(key, None)

    def apply_chord(self, header_result_args: tuple[Any, ...], *_: Any, **__: Any) -> None:
        """Store the number of parts of a chord, before the first is sent."""
        self.ensure_chords_allowed()
        group_id, results = header_result_args[:2]
        with self.changed:
            self._open_parts[group_id] = len(results)

    def on_chord_part_return(self, request: Any, *_: Any, **__: Any) -> None:
        """Send the callback when the last part has ended; copies return outcomes, so that no copy fails a chord."""
        if not request.group:
            return
        with self.changed:
            self._open_parts[request.group] -= 1
            if self._open_parts[request.group]:
                return
            del self._open_parts[request.group]
        Signature.from_dict(request.chord, app=self._application).delay()
