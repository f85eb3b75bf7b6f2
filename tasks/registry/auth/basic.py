"""Basic authentication (RFC 7617)."""

import base64

from tasks.registry.settings import Credentials


def basic_authorization(credentials: Credentials) -> str:
    """Return the value of an Authorization header for a user and a password (RFC 7617 section 2, in UTF-8)."""
    pair = f"{credentials.username}:{credentials.password}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
