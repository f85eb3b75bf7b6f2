"""Who sent a message: an HMAC over its task, its id and its body, in a header (RFC 2104 with SHA-256). Pure.

Signed are the task, a line feed, the id, a line feed, and the body to the letter, before the broker's transport
encodes it. The header is `NAME:HEX`, where NAME says whose key was used.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tasks.transfer.request.policy import WORKERS

HEADER: Final = "imagepusher_signature"


class SignatureWrong(ValueError):
    """A message bears a signature that is not that of its content, or of nobody who is known."""


@dataclass(frozen=True)
class Keys:
    """The key that workers share, and that of each producer; without any, nobody is asked to sign."""

    workers: bytes | None = field(default=None, repr=False)
    producers: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Signer:
    """Signs messages in the name of one sender."""

    name: str
    key: bytes = field(repr=False)

    def header(self, task: str, task_id: str, body: bytes) -> str:
        """Return the value of the header of a message with this body."""
        return f"{self.name}:{signature(self.key, task, task_id, body)}"


def signature(key: bytes, task: str, task_id: str, body: bytes) -> str:
    """Return the signature of a message, in hexadecimal digits."""
    return hmac.new(key, f"{task}\n{task_id}\n".encode() + body, hashlib.sha256).hexdigest()


def sender_of(headers: Mapping[str, Any], body: bytes, keys: Keys) -> str | None:
    """Return who signed a message, None where it is not signed or nobody's key is known for its name.

    Raises SignatureWrong for a signature of somebody whose key is known that does not fit.
    """
    name, _, digest = str(headers.get(HEADER) or "").partition(":")
    key = keys.workers if name == WORKERS else keys.producers.get(name)
    if key is None:
        return None
    expected = signature(key, str(headers.get("task")), str(headers.get("id")), body)
    if not hmac.compare_digest(expected.encode(), digest.encode(errors="replace")):
        raise SignatureWrong(f"its signature is not that of {name} for its task, its id and its body")
    return name
