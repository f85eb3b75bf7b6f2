"""`imagepusher worker`."""

from typing import Any, Final

import click

from workers.cli.session import settings_of

_PREFIX: Final = "imagepusher."


@click.command(short_help="Serve the queues of the broker until told to stop.")
@click.option("--queues", metavar="NAMES", help="Which of push, copy and publish to serve, joined by commas.")
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N", help="How many tasks run at once.")
@click.option("--name", help="The name of this worker; a unique one by default.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
    envvar="IMAGEPUSHER_LOG_LEVEL",
)
@click.option("--config", type=click.Path(), metavar="PATH", help="The TOML file of settings.")
@click.pass_context
def worker(
    context: click.Context, /, queues: str | None, concurrency: int | None, name: str | None, log_level: str, **_: Any
) -> None:
    """Serve the queues of the configured broker until told to stop."""
    from tasks.contract import QUEUES

    chosen = QUEUES if queues is None else tuple(_queue(part.strip(), QUEUES) for part in queues.split(","))
    settings = settings_of(context)
    if settings.broker_url is None:
        raise click.UsageError(
            "A worker needs a broker: set IMAGEPUSHER_BROKER_URL. Without one, push needs no worker."
        )
    from workers.process.worker import run_worker

    run_worker(settings, queues=chosen, concurrency=concurrency, name=name, log_level=log_level)


def _queue(name: str, known: tuple[str, ...]) -> str:
    full = name if name.startswith(_PREFIX) else f"{_PREFIX}{name}"
    if full not in known:
        short = ", ".join(queue.removeprefix(_PREFIX) for queue in known)
        raise click.BadParameter(f"{name!r} is not one of {short}.", param_hint="--queues")
    return full
