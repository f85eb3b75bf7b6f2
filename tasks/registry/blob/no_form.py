"""The errors of an upload of which no form is left, with the way out (BEHAVIOUR 5.6, 6.8)."""

from typing import Final

from tasks.errors import RegistryError, RegistryUnavailable, RequestRefused
from tasks.registry.upload_forms import Refused, Way

_WHO: Final = "the registry, or the proxy before it,"


def too_large(error: RegistryError, registry: str) -> RequestRefused:
    """Return the error of a registry that refuses even the smallest bodies by their size."""
    return RequestRefused(
        f"{error.message} No smaller body is tried: have the limit of {_WHO}"
        f' raised, or set `uploads` of {registry} to "parts" and `part_bytes` below that limit.'
    )


def unanswered(error: RegistryUnavailable, registry: str) -> RegistryUnavailable:
    """Return the error of a registry that answers no body, in any form."""
    return RegistryUnavailable(
        f"{error.message} No form of upload was answered: look in the log of {_WHO} {registry}, for a limit of the size"
        " or the time of a request.",
        error.retry_after,
        error.side,
    )


def not_joined(
    what: str, registry: str, size: int, way: Way, refused: Refused, *, by_drops: bool
) -> RegistryUnavailable | RequestRefused:
    """Return the error of a registry that does not join the parts of a blob of `size` bytes.

    Parts that the settings want are the settings' fault; others are tried because of a body limit, which may be no
    limit but a bad connection if bodies were dropped (`by_drops`).
    """
    said = f"{what} The registry does not join the parts of a blob"
    if way.fixed:
        return RequestRefused(f'{said}: set `uploads` of {registry} to "auto".')
    if by_drops:
        return RegistryUnavailable(f"{said}, and {_WHO} did not answer {size} bytes in one body.")
    limit = f"more than {refused.part_bytes} bytes" if refused.part_bytes is not None else "all bytes"
    return RequestRefused(
        f"{said}, and the body limit of {_WHO} refuses {limit} in one body: have that limit of {registry} raised to"
        f" {size} bytes or more."
    )
