"""Credential helpers: programs that keep passwords (the protocol of docker-credential-helpers, `get`)."""

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tasks.registry.auth.helper_answer import HelperAnswer, read_answer
from tasks.registry.auth.helper_process import ask, without_secrets
from tasks.registry.http.expiring_cache import Expiring, ExpiringCache
from tasks.registry.settings import Credentials

SECONDS: Final = 30.0
# A helper may give short-lived tokens, and starting it for every request would cost more than the request.
REMEMBERED_SECONDS: Final = 300.0

_SHORT: Final = 3
_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]+")


class HelperFailed(Exception):
    """A helper gave no answer; the message says why without any secret."""


class CredentialHelpers:
    """The helpers on the PATH of `environment`; answers and failures serve for `REMEMBERED_SECONDS`. Thread-safe.

    Helpers inherit the environment without its passwords; `secret_variables` names the secrets of the settings.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = SECONDS,
        secret_variables: Iterable[str] = (),
    ) -> None:
        self._inherited = without_secrets(environment, secret_variables)
        hidden = [value for name, value in environment.items() if name not in self._inherited]
        # The whole value, and the password of a pair; short values would be found in any sentence.
        self._secrets = [part for value in hidden for part in (value, value.partition(":")[2]) if len(part) > _SHORT]
        self._seconds = seconds
        self._cache: ExpiringCache[tuple[str, str], HelperAnswer] = ExpiringCache(clock)

    def find(self, helper: str, server: str) -> Credentials | None:
        """Return a server's credentials by `docker-credential-HELPER get`, None if unknown; raises HelperFailed."""
        answer = self._cache.value((helper, server), lambda: Expiring(self._ask(helper, server), REMEMBERED_SECONDS))
        if answer.fault:
            raise HelperFailed(answer.fault)
        return answer.credentials

    def _ask(self, helper: str, server: str) -> HelperAnswer:
        if not _NAME.fullmatch(helper):
            return HelperAnswer(fault="its name may hold only letters, digits, '_', '.' and '-'")
        # Few registries have a helper.
        import shutil  # noqa: PLC0415

        name = f"docker-credential-{helper}"
        program = shutil.which(name, path=self._inherited.get("PATH", os.defpath))
        if program is None:
            return HelperAnswer(fault=f"{name} is not on the PATH")
        try:
            said = ask(program, server, self._inherited, self._seconds)
        except TimeoutError:
            return HelperAnswer(fault=f"{name} took longer than {self._seconds:g} seconds")
        except OSError as error:
            return HelperAnswer(fault=f"{name} cannot be run: {error.strerror}")
        return read_answer(name, said, self._secrets)
