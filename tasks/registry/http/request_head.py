"""The head of a request: its request line and its header fields (RFC 9112, 3 and 5)."""

import re
from collections.abc import Mapping
from typing import Final

from tasks.registry.http.message_faults import RequestMalformed

_TARGET: Final = re.compile(r"[!-~]+")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# A line feed in a value would begin another field, or another request.
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")


def request_head(method: str, target: str, fields: Mapping[str, str]) -> bytes:
    """Return the bytes of a head; raises RequestMalformed for a target or a field that no request can hold."""
    if not _TARGET.fullmatch(target):
        raise RequestMalformed("the address has characters that no request can hold")
    lines = [f"{method} {target} HTTP/1.1\r\n"]
    for name, value in fields.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            # Without the value, which may be a secret.
            raise RequestMalformed(f"the header field {name!a} has characters that no request can hold")
        lines.append(f"{name}: {value}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1")
