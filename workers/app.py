"""The Celery application of the configured broker, for Celery's own commands: `celery -A workers.app inspect ping`."""

import os

from tasks.errors import SettingsInvalid
from workers.broker.app import make_app
from workers.settings import load_settings

_settings = load_settings(os.environ)
if _settings.broker_url is None:
    raise SettingsInvalid("There is no broker to ask: set IMAGEPUSHER_BROKER_URL, or broker.url in IMAGEPUSHER_CONFIG.")
app = make_app(_settings)
