#!/usr/bin/env python3
"""Start Flower on the broker of the workers' own settings (IMAGEPUSHER_BROKER_URL, or the file IMAGEPUSHER_CONFIG).

Flower needs the extra `imagepusher[flower]`. Its options come from flowerconfig.py and the environment, not from
arguments.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import flower.events
import flower.urls
from flower.views.monitor import Metrics
from tornado.web import authenticated

from tasks.errors import SettingsInvalid
from workers.broker.app import make_app
from workers.observability.masking import mask
from workers.settings import load_settings

_SECRET = re.compile(
    r"""(?P<key>['"][\w-]*(?:pass|secret|token|credential|api_?key)[\w-]*['"]\s*:\s*)(?:'[^']*'?|"[^"]*"?)""",
    re.IGNORECASE,
)
_WAITING = "WAITING"
_TEXTS = ("args", "kwargs", "result", "exception", "traceback")


class ClosedMetrics(Metrics):
    """Flower's metrics, served only to users who may see the pages: they name workers and tasks."""

    get = authenticated(Metrics.get)


class ShownEvents(flower.events.EventsState):
    """Flower's view of tasks, without passwords; a worker's event takes precedence over the sender's."""

    def event(self, event: dict[str, Any]) -> None:
        """Store an event."""
        task = self.tasks.get(event.get("uuid"))
        # A task that waits is retried: Celery's own event of that, which comes later, says less.
        waits = task is not None and task.state == _WAITING and event["type"] == "task-retried"
        if event["type"] == "task-sent" and task is not None and task.received:
            # The event is late: keep the arguments that the worker reported.
            event = {field: value for field, value in event.items() if field not in {"args", "kwargs"}}
        super().event(masked(event))
        if waits:
            task.state = _WAITING


def masked(event: dict[str, Any]) -> dict[str, Any]:
    """Return a task's event without passwords: a producer may have put some into a request by mistake."""
    return event | {
        field: _SECRET.sub(r"\g<key>'***'", mask(event[field])) for field in _TEXTS if isinstance(event.get(field), str)
    }


def tls_of(broker_url: str) -> dict[str, str] | None:
    """Return the TLS parameters of a rediss:// URL for Flower's page of queues, which does not use Celery's."""
    url = urlsplit(broker_url)
    if url.scheme != "rediss":
        return None
    said = {name: value for name, value in parse_qsl(url.query) if name.startswith("ssl_")}
    return said | {"ssl_cert_reqs": said.get("ssl_cert_reqs", "required").removeprefix("CERT_").lower()}


def main() -> None:
    """Run until told to stop."""
    if sys.argv[1:]:
        sys.exit("No arguments: options are in the environment (FLOWER_…), where the process list does not show them.")
    try:
        settings = load_settings(os.environ)
    except SettingsInvalid as error:
        sys.exit(str(error))
    if settings.broker_url is None:
        sys.exit("Flower needs the broker of the workers: set IMAGEPUSHER_BROKER_URL.")
    handlers = flower.urls.handlers
    handlers[handlers.index((r"/metrics", Metrics))] = (r"/metrics", ClosedMetrics)
    flower.events.EventsState = ShownEvents
    app = make_app(settings)
    app.conf.broker_use_ssl = tls_of(settings.broker_url)
    app.start(["flower", f"--conf={Path(__file__).with_name('flowerconfig.py')}"])


if __name__ == "__main__":
    main()
