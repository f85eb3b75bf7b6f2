"""The full name of a tag, as an argument of a command."""

import click

from tasks.oci.reference import parse_tag_name


def tag_name(text: str) -> str:
    """Return host/repository:tag in the ledger's form; raises click's BadParameter."""
    try:
        return parse_tag_name(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="REF") from None
