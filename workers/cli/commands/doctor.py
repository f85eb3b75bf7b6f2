"""`imagepusher doctor`."""

from typing import TYPE_CHECKING, Any, Final

import click

from workers.amounts import count
from workers.cli.common_options import common_options
from workers.cli.output import emit_as_json, output_option
from workers.cli.registry_options import RegistryCommand, read_overrides, registry_options
from workers.cli.session import is_verbose, refuse_flags_with_broker, settings_of
from workers.printable import printable

if TYPE_CHECKING:
    from workers.cli.canvas import Canvas
    from workers.doctor import Diagnosis

_STYLES: Final = {"ok": "green", "unknown": "cyan", "warning": "yellow", "error": "bold red"}
_FOUND_ERRORS: Final = 1


@click.command(cls=RegistryCommand, short_help="Examine broker, workers and registries; say what to do.")
@click.argument("places", metavar="[HOST/NAMESPACE]...", nargs=-1)
@click.option("--read-only", is_flag=True, help="Do not try to push; ask registries for pull scope only.")
@output_option
@registry_options("source", "destination")
@common_options
@click.pass_context
def doctor(context: click.Context, /, places: tuple[str, ...], *, read_only: bool, **_: Any) -> None:
    """Examine broker, workers and registries as a push would use them.

    Credentials are those that a push from here would use, options and environment included. Registries are those of
    the settings, their targets, and each HOST/NAMESPACE. An upload to HOST/NAMESPACE/imagepusher-doctor is opened and
    cancelled there. Ends with 1 if a push would not work.
    """
    from msgspec.structs import replace

    from workers.cli.logs import mask_logs
    from workers.client.open import overridden
    from workers.doctor import examine

    mask_logs(verbose=is_verbose(context))
    settings = settings_of(context)
    refuse_flags_with_broker(context, settings)
    overrides, authfile = read_overrides(context.params), context.params["authfile"]
    files = (authfile,) if authfile else ()
    settings = replace(
        settings, registries=overridden(settings.registries, overrides["source"], overrides["destination"], files)
    )
    try:
        diagnosis = examine(settings, places, read_only=read_only)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    if not emit_as_json(context, diagnosis):
        from workers.cli.show import show

        show(diagnosis, _draw)
    context.exit(_FOUND_ERRORS if diagnosis.level == "error" else 0)


def _draw(canvas: "Canvas", diagnosis: "Diagnosis") -> None:
    from workers.cli.canvas import Words

    for finding in diagnosis.findings:
        head = (f"{finding.level:<8}", _STYLES[finding.level])
        canvas.print(Words(head, f"{printable(finding.where)}: {printable(finding.found)}"))
        if finding.advice:
            canvas.print(f"        → {printable(finding.advice)}")
    levels = [finding.level for finding in diagnosis.findings]
    told = f"{count(levels.count('error'), 'error')}, {count(levels.count('warning'), 'warning')}"
    told += f", {levels.count('unknown')} unknown" if "unknown" in levels else ""
    canvas.print(f"\n{_verdict(diagnosis)}: {count(len(levels), 'finding')}, {told}.", wrap=False)


def _verdict(diagnosis: "Diagnosis") -> str:
    from workers.doctor import NONE_EXAMINED

    if diagnosis.level == "error":
        return "A push would not work"
    if any(finding.check == NONE_EXAMINED for finding in diagnosis.findings):
        return "No registry was examined (name HOST/NAMESPACE, or configure a target); nothing else is amiss"
    if any(finding.level == "unknown" for finding in diagnosis.findings):
        return "Nothing was found that would keep a push from working, and not all is known"
    return "A push would work"
