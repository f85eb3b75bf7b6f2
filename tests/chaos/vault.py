"""Secrets that are planted, and the search for them in all that a program leaves behind."""

import base64
import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import redis

_ENCODED = re.compile(rb"[A-Za-z0-9+/_=-]{24,}")


_TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")


class Vault:
    """Passwords, each for one purpose, and what of them is found where."""

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    def password(self, purpose: str, user: str = "") -> str:
        secret = f"s3cr3t{uuid.uuid4().hex}"
        self._secrets[purpose] = secret.encode()
        self._secrets[f"{purpose}, as a header has it"] = base64.b64encode(f"{user}:{secret}".encode()).rstrip(b"=")
        return secret

    def secret(self, purpose: str) -> str:
        """Return the password for a purpose, the same each time."""
        known = self._secrets.get(purpose)
        return self.password(purpose) if known is None else known.decode()

    @property
    def purposes(self) -> list[str]:
        return [purpose for purpose in self._secrets if not purpose.endswith("as a header has it")]

    def found(self, content: bytes) -> list[str]:
        """Return what of the passwords, and which tokens, are in a text, or in what is encoded in it."""
        decoded = [_decoded(match[0]) for match in _ENCODED.finditer(content)]
        return [
            *(
                purpose
                for purpose, secret in self._secrets.items()
                if any(secret in part for part in (content, *decoded))
            ),
            *(f"a token: {match[0][:40]!r}" for part in (content, *decoded) for match in _TOKEN.finditer(part)),
        ]


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_" if {*text} & {*b"-_"} else None)
    except ValueError:
        return b""


def kept_in(client: redis.Redis) -> Iterator[tuple[str, bytes]]:
    """Yield everything that a Redis holds, by key."""
    for key in cast("Iterable[bytes]", client.scan_iter()):
        shown = key.decode(errors="replace")
        match cast("bytes", client.type(key)):
            case b"string":
                yield shown, cast("bytes", client.get(key))
            case b"hash":
                pairs = cast("dict[bytes, bytes]", client.hgetall(key))
                yield shown, b"\n".join(part for pair in pairs.items() for part in pair)
            case b"list":
                yield shown, b"\n".join(cast("list[bytes]", client.lrange(key, 0, -1)))
            case b"set":
                yield shown, b"\n".join(cast("set[bytes]", client.smembers(key)))
            case b"zset":
                yield shown, b"\n".join(cast("list[bytes]", client.zrange(key, 0, -1)))
        yield shown, key


def command_lines(pids: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    for pid in pids:
        yield f"command line of {pid}", Path(f"/proc/{pid}/cmdline").read_bytes()
