"""A push as a worker receives it."""

from typing import Any

from celery.worker.request import Request

from tasks.monitors import describe_push


class PushMessage(Request):
    """The message of a push, of which monitors see the short form, whatever its producer wrote beside it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        request = self.args[0] if self.args else (self.kwargs or {}).get("request")
        self._argsrepr, self._kwargsrepr = describe_push(request), "{}"
        # Retries and logs take it from here.
        self.request_dict.update(argsrepr=self._argsrepr, kwargsrepr=self._kwargsrepr)

    def info(self, safe: bool = False) -> Any:  # noqa: FBT001, FBT002 - Celery's signature
        """Return what remote control tells: never the request itself, even where it is asked for."""
        del safe
        return super().info(safe=True)
