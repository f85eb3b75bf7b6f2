"""One fetch of a manifest from a scripted registry."""

import base64

from tasks.registry.settings import Credentials, HttpLimits, RegistrySettings
from tests.support.images import image
from tests.support.scripted import Answer, ScriptedRegistry
from tests.unit.registry.clients import QUICK, client, manifest_path

IMAGE = image()
MANIFEST = Answer(200, {"Content-Type": IMAGE.media_type}, IMAGE.manifest)
BASIC = "Basic " + base64.b64encode(b"user:password").decode()
LATEST = manifest_path("latest")


def fetch(registry: ScriptedRegistry, limits: HttpLimits = QUICK, credentials: Credentials | None = None) -> bytes:
    settings = RegistrySettings(credentials=credentials)
    return client(registry.host, limits=limits, settings=settings).fetch_manifest("latest").content


def challenge(scheme: str) -> Answer:
    return Answer(401, {"WWW-Authenticate": scheme})
