"""What every command starts with, the settings and a client of the workers, and how it ends when interrupted."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import click

from workers.cli.access import given_flags, read_overrides
from workers.cli.codes import INTERRUPTED
from workers.cli.output import emit_json, note, wants_json

if TYPE_CHECKING:
    from workers.client.client import Client
    from workers.settings import Settings


def settings_of(context: click.Context) -> "Settings":
    """Return the settings of the environment and of the file that `--config` names; raises SettingsInvalid."""
    from workers.settings import load_settings

    return load_settings(os.environ, context.find_root().params["config"])


@contextmanager
def open_session(
    context: click.Context, *, jobs: int | None = None, waits: bool = True, remembers: bool = True
) -> Iterator["Client"]:
    """Yield a client for the options of a command; raises click's UsageError where they do not fit the broker.

    A command that writes nothing need not remember it: it works where the state folder does not.
    A KeyboardInterrupt ends the process at once, with the words that it carries.
    """
    settings = settings_of(context)
    flags = given_flags(context.params)
    if settings.broker_url is not None and flags:
        raise click.UsageError(
            f"{', '.join(flags)} cannot be used with a broker: credentials and TLS belong into the workers' settings."
        )
    if settings.broker_url is not None and jobs is not None:
        raise click.UsageError("--jobs cannot be used with a broker: limits.jobs of the workers' settings says it.")
    if settings.broker_url is None and not waits:
        raise click.UsageError("--no-wait needs a broker: without one nothing would do the work after this command.")
    overrides = read_overrides(context.params)
    authfile = context.params.get("authfile")
    from workers.cli.logs import mask_logs
    from workers.cli.trouble import telling_of_trouble
    from workers.cli.waiting import WAITS
    from workers.client.open import open_client

    mask_logs()
    with (
        telling_of_trouble(quiet=context.params.get("quiet", False)),
        open_client(
            settings,
            source=overrides["source"],
            destination=overrides["destination"],
            auth_files=(authfile,) if authfile else (),
            jobs=jobs,
            remembers=remembers,
            unanswered=lambda: note(f"The command {WAITS}."),
        ) as client,
    ):
        try:
            yield client
        except KeyboardInterrupt as interrupt:
            _leave(context, str(interrupt) or "Interrupted.")


def _leave(context: click.Context, told: str) -> NoReturn:
    """End this process without waiting for its threads: a copy looks up only when its registry sends something."""
    note(told)
    if wants_json(context):
        emit_json({"error": {"code": "interrupted", "message": told}})
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):
            stream.flush()
    os._exit(INTERRUPTED)
