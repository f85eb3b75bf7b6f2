"""`imagepusher page`."""

from typing import Any

import click

from workers.cli.output import note
from workers.cli.session import settings_of


@click.command(short_help="Serve a page of all pushes.")
@click.option("--address", metavar="HOST:PORT", help="Where to listen, in place of the settings; port 0 is any.")
@click.option("--config", type=click.Path(), metavar="PATH", help="The TOML file of settings.")
@click.pass_context
def page(context: click.Context, /, address: str | None, **_: Any) -> None:
    """Serve the page of pushes, which shows them all and lets you retry, cancel and undo them.

    Without a login it serves this machine only, and changes nothing.
    """
    from msgspec.structs import replace

    from tasks.errors import SettingsInvalid
    from workers.observability.logs import configure_logging
    from workers.settings.observability import read_address

    settings = settings_of(context)
    if address is not None:
        faults: list[str] = []
        chosen = read_address("--address", address, faults)
        if chosen is None:
            raise click.UsageError(f"{faults[0] if faults else '--address is empty'}.")
        settings = replace(settings, page=replace(settings.page, address=chosen))
    configure_logging("info", settings.observability.log_format)
    try:
        from workers.page.serve import serve
    except ModuleNotFoundError as error:
        raise SettingsInvalid(
            f"The page needs {error.name}, which is not installed: install the extra `page` of this project, by"
            " pip install '.[page]' in its folder or by the path of its wheel."
        ) from None
    serve(settings, lambda url: note(f"The pushes are at {url}."))
