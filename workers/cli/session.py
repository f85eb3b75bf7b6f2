"""What every command starts with: the settings, and a client of the workers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from workers.cli.access import given_flags, read_overrides

if TYPE_CHECKING:
    from workers.client import Client
    from workers.settings import Settings


def settings_of(context: click.Context) -> "Settings":
    """Return the settings of the environment and of the file that `--config` names; raises SettingsInvalid."""
    from workers.settings import load_settings

    return load_settings(os.environ, context.find_root().params["config"])


@contextmanager
def open_session(
    context: click.Context, *, jobs: int | None = None, stdin_taken: bool = False, waits: bool = True
) -> Iterator["Client"]:
    """Yield a client for the options of a command; raises click's UsageError where they do not fit the broker."""
    settings = settings_of(context)
    flags = given_flags(context.params)
    if settings.broker_url is not None and flags:
        raise click.UsageError(
            f"{', '.join(flags)} cannot be used with a broker: credentials and TLS belong into the workers' settings."
        )
    if settings.broker_url is None and not waits:
        raise click.UsageError("--no-wait needs a broker: without one nothing would do the work after this command.")
    overrides = read_overrides(context.params, stdin_taken=stdin_taken)
    authfile = context.params.get("authfile")
    from workers.client import open_client

    with open_client(
        settings,
        source=overrides["source"],
        destination=overrides["destination"],
        auth_files=(authfile,) if authfile else (),
        jobs=jobs,
    ) as client:
        yield client
