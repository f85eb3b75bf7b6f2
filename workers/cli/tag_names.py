"""The full name of a tag, as an argument of a command."""

import click

from tasks.oci.reference import Reference, carries_registry, without_transport


def tag_name(text: str) -> str:
    """Return host/repository:tag in the ledger's form; raises click's BadParameter."""
    name = without_transport(text)
    try:
        reference = Reference.parse(name)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="REF") from None
    if not carries_registry(name) or reference.tag is None or reference.digest is not None:
        raise click.BadParameter("Write host/repository:tag.", param_hint="REF")
    return str(reference)
