"""What a faulty proxy does to which requests: values and choices, no I/O."""

import random
import re
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol
from urllib.parse import parse_qs, urlsplit

_BODIES = frozenset({"PUT", "PATCH"})
_UPLOAD_ID = re.compile(r"(/blobs/uploads/)[^/?]+")


class Kind(Enum):
    """Name what goes wrong; `at` stands for the place in the bytes that a fault names."""

    # The request never reaches the registry, or not as it was sent.
    RESET_REQUEST = "the connection is reset at `at` of the request's body, the registry's too"
    STALL_REQUEST = "the request is read up to `at` of its body, and nothing more happens"
    REFUSED = "the proxy answers `status` in the registry's place"
    LIMITED = "the proxy answers 429, with Retry-After in the shape of `retry_after`"
    REDIRECTED = "the proxy sends the client to another host, which answers as the registry does"
    EXPIRED_TOKEN = "the registry gets the request without its token, and answers with its challenge"
    LOST_SESSION = "the upload session is cancelled just before the request"
    FLIPPED_REQUEST = "one byte, at `at`, of the request's body is another one"
    # The registry has done what was asked.
    RESET_ANSWER = "the connection is reset at `at` of the answer, head included"
    STALL_ANSWER = "nothing comes after `at` of the answer, head included"
    DENIED = "the proxy answers `status`, though the registry did what was asked"
    CUT = "the answer's body ends at `at`, in order, before its declared end"
    TRUNCATED = "the answer's body ends at `at`, and its declared end is there too"
    LONGER = "bytes follow the declared end of the answer's body"
    GROWN = "the answer's body is longer than the content, and so is its declared length"
    FLIPPED = "one byte, at `at`, of the answer's body is another one"


RetryAfter = Literal["seconds", "date", "none", "html"]


@dataclass(frozen=True)
class Fault:
    """Say what goes wrong, and with which requests.

    Meant are those of `method` (None: any) in whose path and query the regular expression `path` is found: from the
    `nth` one on, counted from 1, `times` of them. `at` is a share of the bytes, from 0 to 1; `seconds` is how
    long a limit asks to wait, in the shapes that say so.
    """

    kind: Kind
    method: str | None = None
    path: str = ""
    nth: int = 1
    times: int = 1
    at: float = 0.5
    status: int = 503
    retry_after: RetryAfter = "seconds"
    seconds: int = 0

    def names(self, method: str, target: str) -> bool:
        return self.method in {None, method} and re.search(self.path, target) is not None

    def __str__(self) -> str:
        detail = {
            Kind.REFUSED: f" {self.status}",
            Kind.DENIED: f" {self.status}",
            Kind.LIMITED: f" {self.retry_after}",
        }.get(self.kind, f" at {self.at:.3f}")
        return f"{self.kind.name}{detail}"


@dataclass(frozen=True)
class Injected:
    """Hold one fault that was injected, and the request that it met."""

    fault: Fault
    method: str
    target: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.method} {self.target}"


class Plan(Protocol):
    """Decide what happens to each request; threads share it."""

    def choose(self, method: str, target: str, *, authorized: bool) -> Fault | None:
        """Return the fault that this request meets; each call counts as one request."""
        ...


class Chosen:
    """These faults and no others; where several are due for one request, the first one in the list happens."""

    def __init__(self, *faults: Fault) -> None:
        self._faults = faults
        self._seen = [0] * len(faults)
        self._guard = threading.Lock()

    def __str__(self) -> str:
        return ", ".join(map(str, self._faults)) or "no faults"

    def choose(self, method: str, target: str, *, authorized: bool) -> Fault | None:
        with self._guard:
            due = [fault for number, fault in enumerate(self._faults) if self._is_due(number, method, target)]
        return next(iter(due), None)

    def _is_due(self, number: int, method: str, target: str) -> bool:
        fault = self._faults[number]
        if not fault.names(method, target):
            return False
        self._seen[number] += 1
        return fault.nth <= self._seen[number] < fault.nth + fault.times


class Mixture:
    """Any of `kinds` that suits a request, with probability `rate`.

    The choice depends on the seed, the request and how often it came before, not on the order in which the threads of a
    client send different requests: one seed gives one run.
    """

    def __init__(self, seed: int, rate: float, kinds: Collection[Kind] = tuple(Kind)) -> None:
        self._seed = seed
        self._rate = rate
        self._kinds = sorted(kinds, key=lambda kind: kind.name)
        self._seen: Counter[str] = Counter()
        self._guard = threading.Lock()

    def __str__(self) -> str:
        return f"seed {self._seed} at rate {self._rate:g}"

    def choose(self, method: str, target: str, *, authorized: bool) -> Fault | None:
        key = f"{method} {stable(target)}"
        with self._guard:
            self._seen[key] += 1
            occurrence = self._seen[key]
        drawn = random.Random(f"{self._seed} {key} {occurrence}")
        # A token that was just fetched has not expired: the request that follows a challenge gets through. One that
        # opens an upload looks like all others, so that it cannot be told which of them follows.
        expires = authorized and method != "POST" and occurrence % 2 == 1
        suitable = [kind for kind in self._kinds if suits(kind, method, target, authorized=expires)]
        if not suitable or drawn.random() >= self._rate:
            return None
        shapes: tuple[RetryAfter, ...] = ("seconds", "date", "none", "html")
        return Fault(
            drawn.choice(suitable),
            at=drawn.random(),
            status=drawn.choice((500, 502, 503, 504)),
            retry_after=drawn.choice(shapes),
        )


def stable(target: str) -> str:
    """Return what a target says in every run: without the registry's random names, with the digest of a commit."""
    parts = urlsplit(target)
    digest = parse_qs(parts.query).get("digest", [""])[0]
    return _UPLOAD_ID.sub(r"\1…", parts.path) + digest


def suits(kind: Kind, method: str, target: str, *, authorized: bool) -> bool:
    """Tell whether a fault of this kind is one with such a request, and not some other fault or none."""
    content = method == "GET" and ("/blobs/sha" in target or "/manifests/" in target)
    match kind:
        case Kind.EXPIRED_TOKEN:
            return authorized
        case Kind.LOST_SESSION | Kind.FLIPPED_REQUEST:
            return method in _BODIES and "/blobs/uploads/" in target
        case Kind.RESET_REQUEST | Kind.STALL_REQUEST | Kind.DENIED:
            return method in _BODIES
        case Kind.REDIRECTED | Kind.CUT | Kind.TRUNCATED | Kind.LONGER | Kind.GROWN | Kind.FLIPPED:
            return content
        case _:
            return True
