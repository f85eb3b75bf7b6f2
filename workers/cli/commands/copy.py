"""`imagepusher copy`."""

from typing import Any, Final

import click

from workers.cli.pushing import push_options, run_push
from workers.cli.registry_options import RegistryCommand, with_usual_value

# The options from which the request is built.
_ITEM: Final = (
    "target",
    "kind",
    "single_arch",
    "platforms",
    "merge",
    "referrers",
    "no_referrers",
    "require_referrers",
    "verify_keys",
    "verify_identities",
)
# By what a tag goes forward; the first one is meant where the flag stands alone.
_AGES: Final = ("version", "created")


class _CopyCommand(RegistryCommand):
    """`copy`, whose option `--forward-only` takes no image for its value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_usual_value(args, "--forward-only", _AGES))


@click.command(cls=_CopyCommand)
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
@click.option(
    "--referrers",
    multiple=True,
    metavar="TYPE",
    help="Signatures, SBOMs, attestations: bring all, or this artifact type; repeatable. All, unless TARGET says else.",
)
@click.option("--no-referrers", is_flag=True, help="Leave what refers to SOURCE behind.")
@click.option("--require-referrers", is_flag=True, help="Fail where something that refers to SOURCE does not arrive.")
@click.option(
    "--verify-key",
    "verify_keys",
    multiple=True,
    metavar="FILE",
    help="Copy nothing unless SOURCE is signed by this public key (PEM), or by another one that is given; repeatable.",
)
@click.option(
    "--verify-identity",
    "verify_identities",
    multiple=True,
    metavar="NAME=ISSUER",
    help="Or unless it is signed by this identity, which this issuer vouched for; repeatable.",
)
@click.option("--expect", "expect", multiple=True, metavar="TAG=DIGEST", help="What TAG holds now, or `absent`.")
@click.option("--no-clobber", is_flag=True, help="Leave a tag as it is once it is there.")
@click.option("--require-platform", "required", multiple=True, metavar="OS/ARCH", help="The tag has it afterwards.")
@click.option("--refuse-platform-removal", is_flag=True, help="Take no platform away from a tag.")
@click.option(
    "--forward-only",
    type=click.Choice(_AGES),
    metavar="[version|created]",
    help="Skip a tag that holds a newer image, by its version (the word may be left out) or its creation time.",
)
@push_options
@click.pass_context
def copy(context: click.Context, /, source: str, destinations: tuple[str, ...], **chosen: Any) -> None:
    """Copy one image to one or more destinations.

    SOURCE and DESTINATION are host/repository:tag; docker:// before them is accepted.
    """
    from workers.cli.copy_request import conditions_of, copy_request

    if chosen["referrers"] and chosen["no_referrers"]:
        raise click.UsageError("--referrers and --no-referrers exclude each other.")
    conditions = ("expect", "no_clobber", "required", "refuse_platform_removal", "forward_only")

    def request() -> dict[str, Any]:
        wanted = conditions_of(**{name: chosen[name] for name in conditions})
        return copy_request(source, destinations, conditions=wanted, **{name: chosen[name] for name in _ITEM})

    run_push(context, request)
