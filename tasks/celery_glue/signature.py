"""The signature of a message: an HMAC over its task, its id and its body, in a header (RFC 2104 with SHA-256). Pure.

The HMAC covers the task, a line feed, the id, a line feed, and the exact bytes of the body before the broker's
transport encodes it. The header is `NAME:HEX`, where NAME is the owner of the key.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from tasks.discreet import Discreet
from tasks.transfer.request.policy import WORKERS

HEADER: Final = "imagepusher_signature"


class SignatureWrong(ValueError):
    """A signature under a known name that does not match the content of its message."""


class Keys(Discreet, frozen=True):
    """The shared key of the workers, and the key of each producer; without any key, no signature is required."""

    _hidden: ClassVar = frozenset({"workers", "producers"})

    workers: bytes | None = None
    producers: Mapping[str, bytes] = msgspec.field(default_factory=dict)


class Signer(Discreet, frozen=True):
    """The signer of messages in the name of one sender."""

    _hidden: ClassVar = frozenset({"key"})

    name: str
    key: bytes

    def header(self, task: str, task_id: str, body: bytes) -> str:
        """Return the value of the signature header for a message with this body."""
        return f"{self.name}:{signature(self.key, task, task_id, body)}"


def signature(key: bytes, task: str, task_id: str, body: bytes) -> str:
    """Return the signature of a message, in hexadecimal digits."""
    return hmac.new(key, f"{task}\n{task_id}\n".encode() + body, hashlib.sha256).hexdigest()


def sender_of(headers: Mapping[str, Any], body: bytes, keys: Keys) -> str | None:
    """Return the name of a message's signer, None if it is unsigned or the name has no known key.

    Raises SignatureWrong if the signature does not match the known key.
    """
    name, _, digest = str(headers.get(HEADER) or "").partition(":")
    key = keys.workers if name == WORKERS else keys.producers.get(name)
    if key is None:
        return None
    expected = signature(key, str(headers.get("task")), str(headers.get("id")), body)
    if not hmac.compare_digest(expected.encode(), digest.encode(errors="replace")):
        raise SignatureWrong(f"its signature is not that of {name} for its task, its id and its body")
    return name
