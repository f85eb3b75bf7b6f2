"""`imagepusher copy`."""

from typing import Any

import click

from workers.cli.access import RegistryCommand
from workers.cli.pushing import push_options, run_push


@click.command(cls=RegistryCommand)
@click.argument("source", metavar="SOURCE")
@click.argument("destinations", metavar="DESTINATION...", nargs=-1, required=True)
@click.option("--target", metavar="NAME", help="A configured target; destinations are then repository:tag.")
@click.option("--kind", type=click.Choice(["auto", "source"]), default="auto", help="A source image is copied as is.")
@click.option(
    "--single-arch",
    type=click.Choice(["refuse", "copy", "merge"]),
    default="merge",
    show_default=True,
    help="What becomes of an image that is no index.",
)
@click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH", help="Take only this one; repeatable.")
@click.option("--merge/--no-merge", default=True, show_default=True, help="Keep platforms that SOURCE lacks.")
@click.option("--expect", "expect", multiple=True, metavar="TAG=DIGEST", help="What TAG holds now, or `absent`.")
@click.option("--no-clobber", is_flag=True, help="Leave a tag as it is once it is there.")
@click.option("--require-platform", "required", multiple=True, metavar="OS/ARCH", help="The tag has it afterwards.")
@click.option("--refuse-platform-removal", is_flag=True, help="Take no platform away from a tag.")
@click.option("--forward-only", is_flag=True, help="Skip a tag that holds a newer version.")
@push_options
@click.pass_context
def copy(context: click.Context, /, source: str, destinations: tuple[str, ...], **chosen: Any) -> None:
    """Copy one image to one or more destinations.

    SOURCE and DESTINATION are host/repository:tag; docker:// before them is accepted.
    """
    from workers.cli.request import conditions_of, copy_request

    names = ("target", "kind", "single_arch", "platforms", "merge")
    conditions = ("expect", "no_clobber", "required", "refuse_platform_removal", "forward_only")

    def request() -> dict[str, Any]:
        wanted = conditions_of(**{name: chosen[name] for name in conditions})
        return copy_request(source, destinations, conditions=wanted, **{name: chosen[name] for name in names})

    run_push(context, request)
