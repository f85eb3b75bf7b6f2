"""A public key from a file."""

from pathlib import Path

from tasks.errors import RequestInvalid


def read_key(name: str) -> str:
    """Return the text of a file with a key; raises RequestInvalid."""
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise RequestInvalid(f"The key {name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RequestInvalid(f"The key {name} is not a public key in PEM.") from error
