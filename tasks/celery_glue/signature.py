"""The signature of a message: an HMAC over its time, its task, its id and its body, in a header. Pure.

The HMAC (RFC 2104 with SHA-256) covers the time, a line feed, the task, a line feed, the id, a line feed, and the exact
bytes of the body before the broker's transport encodes it. The header is `NAME:TIME:HEX`, where NAME is the owner of
the key, and TIME is when the message was signed, in whole seconds since the epoch.

`NAME:HEX`, whose HMAC covers no time and no line feed after it, is taken too: its message never grows too old.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from tasks.discreet import Discreet
from tasks.transfer.request.policy import WORKERS

HEADER: Final = "imagepusher_signature"
_TIME: Final = re.compile(r"[0-9]{1,12}", re.ASCII)


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

    def header(self, task: str, task_id: str, body: bytes, now: float) -> str:
        """Return the value of the signature header for a message with this body (`now`: seconds since the epoch)."""
        said = str(int(now))
        return f"{self.name}:{said}:{signature(self.key, task, task_id, body, said)}"


class Signed(msgspec.Struct, frozen=True):
    """A verified signature: the name of its sender, and when it was made (seconds since the epoch), if it says that."""

    sender: str
    at: int | None


def signature(key: bytes, task: str, task_id: str, body: bytes, said: str | None = None) -> str:
    """Return the signature of a message, in hexadecimal digits; `said` is its time as the header has it."""
    lines = [task, task_id, ""] if said is None else [said, task, task_id, ""]
    return hmac.new(key, "\n".join(lines).encode() + body, hashlib.sha256).hexdigest()


def read_signature(headers: Mapping[str, Any], body: bytes, keys: Keys) -> Signed | None:
    """Return the verified signature of a message, None if it is unsigned or the name has no known key.

    Raises SignatureWrong if the signature does not match the known key.
    """
    name, _, rest = str(headers.get(HEADER) or "").partition(":")
    key = keys.workers if name == WORKERS else keys.producers.get(name)
    if key is None:
        return None
    said, _, digest = rest.rpartition(":")
    if said and not _TIME.fullmatch(said):
        raise SignatureWrong(f"its signature by {name} is not NAME:TIME:HEX")
    expected = signature(key, str(headers.get("task")), str(headers.get("id")), body, said or None)
    if not hmac.compare_digest(expected.encode(), digest.encode(errors="replace")):
        raise SignatureWrong(f"its signature is not that of {name} for its time, its task, its id and its body")
    return Signed(name, int(said) if said else None)
