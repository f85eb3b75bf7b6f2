#!/usr/bin/env python3
"""Start Flower on the broker of the workers' own settings (IMAGEPUSHER_BROKER_URL, or the file IMAGEPUSHER_CONFIG).

It needs the extra `imagepusher[flower]`. Its options are in flowerconfig.py and in the environment, never in arguments.
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
_TEXTS = ("args", "kwargs", "result", "exception", "traceback")


class ClosedMetrics(Metrics):
    """Flower's metrics, which name workers and tasks, for those alone who may see the pages."""

    get = authenticated(Metrics.get)


class ShownEvents(flower.events.EventsState):
    """What Flower knows of tasks, in the words of the worker where it has spoken, and without passwords."""

    def event(self, event: dict[str, Any]) -> None:
        """Take note of an event."""
        task = self.tasks.get(event.get("uuid"))
        if event["type"] == "task-sent" and task is not None and task.received:
            # It came late: what the worker says of the arguments stays.
            event = {field: value for field, value in event.items() if field not in {"args", "kwargs"}}
        super().event(masked(event))


def masked(event: dict[str, Any]) -> dict[str, Any]:
    """Return a task's event without passwords: what a careless producer wrote into a request is shown to nobody."""
    return event | {
        field: _SECRET.sub(r"\g<key>'***'", mask(event[field])) for field in _TEXTS if isinstance(event.get(field), str)
    }


def tls_of(broker_url: str) -> dict[str, str] | None:
    """Return what a rediss:// URL says of certificates: Flower's page of queues reads it elsewhere than Celery does."""
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
