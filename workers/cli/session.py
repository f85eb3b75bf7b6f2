"""The session of a command: its settings, its client of the workers, and its end on an interrupt."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

import click

from workers.cli.exit_codes import INTERRUPTED
from workers.cli.output import claimed_stdout, emit_json, note, result_stream, wants_json
from workers.cli.registry_options import given_flags, read_overrides

if TYPE_CHECKING:
    from workers.client.interface import Client
    from workers.settings import Settings


# The signals that end a command as Ctrl-C does: from a service manager, and from a closed terminal.
_INTERRUPTS: Final = (signal.SIGTERM, signal.SIGHUP)


def settings_of(context: click.Context) -> "Settings":
    """Return the settings of the environment and the file of `--config`; raises SettingsInvalid."""
    from workers.settings import load_settings

    return load_settings(os.environ, context.params.get("config") or context.find_root().params["config"])


def refuse_flags_with_broker(context: click.Context, settings: "Settings") -> None:
    """Raise click's UsageError for credential and TLS flags if there is a broker: the workers' settings count."""
    flags = given_flags(context.params)
    if settings.broker_url is not None and flags:
        raise click.UsageError(
            f"{', '.join(flags)} cannot be used with a broker: credentials and TLS belong into the workers' settings."
        )


def is_verbose(context: click.Context) -> bool:
    """Tell whether to show each request to a registry."""
    asked = context.params.get("verbose") or context.find_root().params.get("verbose")
    return bool(asked) or os.environ.get("IMAGEPUSHER_LOG_LEVEL", "").lower() == "debug"


@contextmanager
def open_session(
    context: click.Context, *, jobs: int | None = None, waits: bool = True, remembers: bool = True
) -> Iterator["Client"]:
    """Yield a client for the options of a command; raises click's UsageError if they do not fit the broker.

    A read-only command can use `remembers=False`: it then works without a usable state folder.
    A KeyboardInterrupt, which SIGTERM and SIGHUP raise too, ends the process at once and prints its message.
    """
    _interrupt_on_signals()
    with ExitStack() as opened:
        with _imports_at_once():
            client = _open(context, opened, jobs=jobs, waits=waits, remembers=remembers)
        try:
            yield client
        except KeyboardInterrupt as interrupt:
            _leave(context, str(interrupt) or "Interrupted.")


def _open(context: click.Context, opened: ExitStack, *, jobs: int | None, waits: bool, remembers: bool) -> "Client":
    """Return a client; `opened` closes it."""
    settings = settings_of(context)
    refuse_flags_with_broker(context, settings)
    if settings.broker_url is not None and jobs is not None:
        raise click.UsageError("--jobs cannot be used with a broker: limits.jobs of the workers' settings says it.")
    if settings.broker_url is None and not waits:
        raise click.UsageError("--no-wait needs a broker: without one nothing would do the work after this command.")
    overrides = read_overrides(context.params)
    authfile = context.params.get("authfile")
    from workers.cli.logs import mask_logs
    from workers.cli.retry_notices import telling_of_trouble
    from workers.cli.waiting import WAITS
    from workers.client.open import open_client

    mask_logs(verbose=is_verbose(context))
    if settings.broker_url is not None and is_verbose(context):
        note("The workers talk to the registries: their logs show each request, with --log-level debug.")
    opened.enter_context(claimed_stdout())
    opened.enter_context(telling_of_trouble(quiet=context.params.get("quiet", False)))
    return opened.enter_context(
        open_client(
            settings,
            source=overrides["source"],
            destination=overrides["destination"],
            auth_files=(authfile,) if authfile else (),
            jobs=jobs,
            remembers=remembers,
            unanswered=lambda: note(f"The command {WAITS}."),
        )
    )


@contextmanager
def _imports_at_once() -> Iterator[None]:
    """Turn garbage collection off during the block: imports leave no garbage, and a search takes 5 % of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def interruptible(context: click.Context, told: str) -> Iterator[None]:
    """End the process at once if the block is interrupted, and print `told`."""
    _interrupt_on_signals()
    try:
        yield
    except KeyboardInterrupt:
        _leave(context, told)


def _interrupt_on_signals() -> None:
    for number in _INTERRUPTS:
        # A command under nohup continues without its terminal. Any other handler is of something around the command,
        # a tool that measures it, say, and knows nothing of pushes.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _leave(context: click.Context, told: str) -> NoReturn:
    """End this process without waiting for its threads: a copy cannot stop while its registry is silent."""
    note(told)
    if wants_json(context):
        emit_json({"error": {"code": "interrupted", "message": told}})
    for stream in (result_stream(), sys.stderr):
        with suppress(OSError):
            if stream is not None:
                stream.flush()
    os._exit(INTERRUPTED)
