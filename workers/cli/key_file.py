"""A public key from a file."""

from pathlib import Path

from tasks.errors import RequestInvalid


def read_key(name: str) -> str:
    """Return the public key in a file, as PEM; raises RequestInvalid, which names the file."""
    from tasks.oci.signatures import parse_key

    try:
        return parse_key(read_text(name))
    except ValueError as error:
        raise RequestInvalid(f"The key {name} {error}.") from error


def read_text(name: str) -> str:
    """Return the text of a file with a key; raises RequestInvalid."""
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise RequestInvalid(f"The key {name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"The key {name} is not a public key in PEM.") from error
