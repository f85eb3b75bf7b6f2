"""Protection against requests that another page makes in a user's name."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

from workers.page.users import User


class Tokens:
    """Tokens that let one user do one thing to one push; a new process takes none of an older one."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def make(self, user: User, action: str, push_id: str) -> str:
        """Return the token of a form."""
        said = f"{user.name}\0{action}\0{push_id}".encode()
        return hmac.new(self._secret, said, hashlib.sha256).hexdigest()

    def fits(self, token: str, user: User, action: str, push_id: str) -> bool:
        """Tell whether a token was made for this."""
        return hmac.compare_digest(token.encode(), self.make(user, action, push_id).encode())


def is_same_origin(headers: Mapping[str, str], origin: str | None) -> bool:
    """Tell whether a request was made by a page of `origin`, or of the host that it is sent to where that is None.

    Browsers send Origin with each POST (Fetch standard, 3.2), which a page cannot forge.
    """
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    given = headers.get("origin", "").lower()
    if origin is not None:
        return given == origin
    scheme, separator, host = given.partition("://")
    return bool(separator) and scheme in {"http", "https"} and host == headers.get("host", "").lower()
