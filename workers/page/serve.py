"""Serve the page of pushes until told to stop."""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import uvicorn

from tasks.errors import SettingsInvalid
from workers.client.interface import Client
from workers.client.open import open_client
from workers.ledger import open_ledger
from workers.page.actions import Actions
from workers.page.app import make_app
from workers.page.holds import Holds
from workers.settings import Settings
from workers.settings.observability import Address


def serve(settings: Settings, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; call `told` with the address once the page is available.

    Raises SettingsInvalid if other machines could reach a page that requires no login.
    """
    page = settings.page
    if page.is_exposed and not page.knows_users:
        raise SettingsInvalid(
            f"The page would be open to everybody who reaches {page.address}: set page.login_file"
            " (IMAGEPUSHER_PAGE_LOGIN_FILE, user:password), or page.user_header behind a reverse proxy that knows its"
            " users. Without a login it serves loopback only."
        )

    def client(unanswered: Callable[[], None]) -> AbstractContextManager[Client]:
        return open_client(settings, unanswered=unanswered)

    with open_ledger(settings) as ledger:
        may_cancel = partial(settings.trust.check_cancel, targets=settings.targets)
        actions = Actions(ledger, client, check_cancel=may_cancel)
        # The page's own settings, not uvicorn's, name the proxies that are trusted with a client's address.
        config = uvicorn.Config(
            make_app(page, ledger, actions, Holds(ledger, settings.trust.check_hold), _version()),
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=5,
        )
        # uvicorn shuts down cleanly, then raises the signal that stopped it: this is not a failure.
        signal.signal(signal.SIGTERM, lambda *_: None)
        with _listen(page.address) as listening:
            _Server(config, told).run([listening])
        if actions.running:
            # An embedded push that runs here becomes `interrupted` (BEHAVIOUR 7.8).
            os._exit(0)


def _listen(address: Address) -> socket.socket:
    """Return a listening socket; raises SettingsInvalid."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        # A failed look-up has a negative number, and Python adds the address to the words of a failed bind.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise SettingsInvalid(
            f"The page cannot listen on {address}: {reason}. Let page.address (--address) name another address."
        ) from None


class _Server(uvicorn.Server):
    """A server that reports its address once it listens: port 0 is any free port."""

    def __init__(self, config: uvicorn.Config, told: Callable[[str], None]) -> None:
        super().__init__(config)
        self._told = told

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            bound = self.servers[0].sockets[0].getsockname()
            host = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            self._told(f"http://{host}:{bound[1]}")


def _version() -> str:
    try:
        return version("imagepusher")
    except PackageNotFoundError:
        return ""
