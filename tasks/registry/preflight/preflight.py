"""Ask the API of a registry's product, before any copy, whether it will refuse a tag (BEHAVIOUR 10.2).

| API    | asked with                              | tells of a tag    | of a quota                    |
|--------|-----------------------------------------|-------------------|-------------------------------|
| quay   | `api_token_file`                        | it is immutable   | the namespace's               |
| ecr    | boto3, as `login = "ecr"` does          | its repository is | nothing                       |
| harbor | user and password, and `api = "harbor"` | it is immutable   | the project's, to its members |

To administrators Quay and Harbor tell their rules for new tags too.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

import msgspec

from tasks.errors import ImagePusherError, QuotaExceeded, Side, TagImmutable
from tasks.registry.http.retry import Transient
from tasks.registry.preflight.questions import Asking, Wish
from tasks.registry.settings import Api, RegistrySettings
from tasks.registry.transport import Transport

LOG: Final = logging.getLogger(__name__)


class _Tells(msgspec.Struct, frozen=True):
    """The questions that an API answers, of a repository and a tag or wish, with the reason for a refusal."""

    why_immutable: Callable[[Asking, str, str], str | None]
    why_fixed: Callable[[Asking, str, str], str | None]
    why_full: Callable[[Asking, str, Wish], str | None]


def api_of(settings: RegistrySettings) -> Api | None:
    """Return the API that the settings give access to: the one that they name, else by token or login."""
    if settings.api is not None:
        return settings.api
    if settings.api_token:
        return "quay"
    return "ecr" if settings.credentials is not None and settings.credentials.login == "ecr" else None


def _tells_of(settings: RegistrySettings) -> _Tells | None:
    """Return the questions that an API answers to which the settings give access, None without such an API."""
    api = api_of(settings)
    if api is None or api == "none":
        return None
    # Few registries let a push ask their API.
    from tasks.registry.preflight import ecr, harbor, quay  # noqa: PLC0415

    tells: dict[Api, _Tells] = {
        "quay": _Tells(quay.why_immutable, quay.why_fixed, quay.why_full),
        "ecr": _Tells(ecr.why_immutable, ecr.why_fixed, ecr.why_full),
        "harbor": _Tells(harbor.why_immutable, harbor.why_fixed, harbor.why_full),
    }
    return tells[api]


class Preflight:
    """The answers of all registries, kept for one push. Thread-safe.

    A registry without access to its API costs no request. After a failure of an API its question is not asked again:
    the write of the tag will tell.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._asking: dict[str, Asking] = {}
        self._silent: set[tuple[str, str]] = set()

    def check(self, transport: Transport, name: str, *, tag: str | None, wish: Wish) -> None:
        """Raise TagImmutable or QuotaExceeded if the registry will not store a wish in a repository.

        `tag` is the tag that would move, None if it does not exist yet.
        """
        tells = _tells_of(transport.settings)
        if tells is None:
            return
        asking = self._asking_of(transport)
        place = f"{transport.registry}/{name}"
        if tag is not None:
            why = self._why(asking, "immutable tags", lambda: tells.why_immutable(asking, name, tag))
            if why:
                said = f"{place}:{tag} may not move: {why}. Nothing was copied for it."
                raise TagImmutable(said, side=Side.DESTINATION)
        why = self._why(asking, "its quota", lambda: tells.why_full(asking, name, wish))
        if why:
            raise QuotaExceeded(f"{place} takes no image: {why}. Nothing was copied for it.", side=Side.DESTINATION)

    def why_fixed(self, transport: Transport, name: str, tag: str) -> str | None:
        """Return the reason why a new tag could not be deleted again, None if it may, or if nothing tells."""
        tells = _tells_of(transport.settings)
        if tells is None:
            return None
        asking = self._asking_of(transport)
        return self._why(asking, "the rules for new tags", lambda: tells.why_fixed(asking, name, tag))

    def _asking_of(self, transport: Transport) -> Asking:
        with self._guard:
            return self._asking.setdefault(transport.registry, Asking(transport))

    def _why(self, asking: Asking, subject: str, why: Callable[[], str | None]) -> str | None:
        registry = asking.transport.registry
        if (registry, subject) in self._silent:
            return None
        try:
            return why()
        except (ImagePusherError, Transient) as error:
            if isinstance(error, ImagePusherError) and error.gives_back:
                raise
            with self._guard:
                told = (registry, subject) in self._silent
                self._silent.add((registry, subject))
            if not told:
                said = error.what if isinstance(error, Transient) else error.message
                LOG.warning("%s does not tell of %s, and the push goes on without: %s", registry, subject, said)
            return None
