"""A public key from a file."""

from importlib.util import find_spec
from pathlib import Path

from tasks.errors import RequestInvalid


def read_key(name: str) -> str:
    """Return the public key in a file, as PEM; raises RequestInvalid, which names the file."""
    try:
        text = Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise RequestInvalid(f"The key {name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"The key {name} is not a public key in PEM.") from error
    if find_spec("cryptography") is None:
        # A producer without the extra `signatures` may send a key: the worker reads it.
        return text
    from tasks.oci.signatures import parse_key

    try:
        return parse_key(text)
    except ValueError as error:
        raise RequestInvalid(f"The key {name} {error}.") from error
