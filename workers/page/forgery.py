"""Protection against cross-site request forgery."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

from workers.page.users import User


class Tokens:
    """Tokens for one user, one action and one push; a new process rejects the tokens of an older one."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def make(self, user: User, action: str, push_id: str) -> str:
        """Return the token of a form."""
        said = f"{user.name}\0{action}\0{push_id}".encode()
        return hmac.new(self._secret, said, hashlib.sha256).hexdigest()

    def fits(self, token: str, user: User, action: str, push_id: str) -> bool:
        """Tell whether a token was made for this user, action and push."""
        return hmac.compare_digest(token.encode(), self.make(user, action, push_id).encode())


def is_same_origin(headers: Mapping[str, str], origin: str | None) -> bool:
    """Tell whether a request comes from a page of `origin`; if that is None, from a page of the requested host.

    Browsers send Origin with each POST (Fetch standard, 3.2), and a page cannot forge it.
    """
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    given = headers.get("origin", "").lower()
    if origin is not None:
        return given == origin
    scheme, separator, host = given.partition("://")
    return bool(separator) and scheme in {"http", "https"} and host == headers.get("host", "").lower()
