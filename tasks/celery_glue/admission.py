"""The admission of messages by a worker. Pure, but for its clock.

| task                        | sent by    | taken                                                           |
|-----------------------------|------------|-----------------------------------------------------------------|
| push, preview, verify, undo | a worker   | yes                                                             |
| the same                    | a producer | unless it has callbacks, or a time before which it is not due   |
| the same                    | unsigned   | likewise, where no producer has a key                           |
| copy, publish               | a worker   | yes                                                             |
| the same                    | unsigned   | where workers have no key, if `publish` alone may follow        |
| any other                   | anyone     | no                                                              |

"Worker", here and in the signature, is also an operator who has the workers' key.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from tasks import contract
from tasks.celery_glue.signature import Keys, SignatureWrong, Signed, read_signature
from tasks.transfer.request.policy import WORKERS

ASKED: Final = frozenset({contract.PUSH_TASK, contract.PREVIEW_TASK, contract.VERIFY_TASK, contract.UNDO_TASK})
INTERNAL: Final = frozenset({contract.COPY_TASK, contract.PUBLISH_TASK})
MESSAGE_BYTES: Final = 16 << 20
# A decoded value takes about 100 bytes of memory, however short its text is: `[]` and a comma have three.
_BYTES_OF_VALUE: Final = 16
_BEGINNINGS: Final = (b",", b"[", b"{")

_ARGUMENTS: Final = {
    contract.PUSH_TASK: ("request",),
    contract.PREVIEW_TASK: ("request",),
    contract.VERIFY_TASK: ("push_id",),
    contract.UNDO_TASK: ("push_id", "dry_run", "leave_moved"),
    contract.COPY_TASK: ("push_id", "digest"),
    contract.PUBLISH_TASK: ("push_id",),
}
# The options in the body of a message (Celery's message protocol 2). Celery lets any other one replace what the worker
# knows of the message: its id, its delivery, its sender.
_OPTIONS: Final = frozenset({"callbacks", "errbacks", "chain", "chord"})

# The headers of Celery's message protocol 2, with the values that it can deal with, and those of W3C Trace Context.
# Others are dropped: Celery takes callbacks, a chain and a chord from there too, and whatever it knows of a message.
_TEXT: Final = (str, type(None))
_HEADERS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("lang", "shadow", "origin", "root_id", "parent_id", "group", "argsrepr", "kwargsrepr"), _TEXT),
    **dict.fromkeys(("retries", "group_index", "replaced_task_nesting"), (int, type(None))),
    **dict.fromkeys(("traceparent", "tracestate"), _TEXT),
    "ignore_result": (bool, type(None)),
}
_KEPT: Final = frozenset({*_HEADERS, "task", "id", "eta", "expires", "timelimit", "stamped_headers", "stamps"})
_MOST: Final = 1_000_000
# How far the clock of a sender may be ahead of that of a worker.
_AHEAD_SECONDS: Final = 3600

NO_CALL: Final = "its body is not [arguments, keyword arguments, options]"
_SHOWN: Final = re.compile(r"[\w.:-]{1,100}")


class NotTaken(ValueError):
    """A message that no worker takes; `answers` tells whether the refusal becomes the result of its task.

    `unsigned` is True if the message would have been taken with the signature of a known producer, `spent` if its
    task was revoked, or has ended.
    """

    def __init__(self, why: str, *, answers: bool = True, unsigned: bool = False, spent: bool = False) -> None:
        super().__init__(why)
        self.answers = answers
        self.unsigned = unsigned
        self.spent = spent


class Admitted(msgspec.Struct, frozen=True):
    """An admitted message: its task and id, the task's arguments, and its sender (None if it is unsigned).

    `headers` are those that Celery may read.
    """

    task: str
    task_id: str
    arguments: list[Any]
    keywords: dict[str, Any]
    sender: str | None
    headers: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def producer(self) -> str | None:
        """The producer who signed the message; None for workers and operators."""
        return None if self.sender == WORKERS else self.sender

    @property
    def request(self) -> Any:
        """The first argument, positional or by keyword: the request of a push, or the id of a push."""
        return next(iter(self.arguments or self.keywords.values()), None)


class Admission(msgspec.Struct, frozen=True):
    """The known keys, the maximum size of a message in bytes, and the maximum age of a signature in seconds.

    The age is the time for which the ledger remembers a push: a signed message that is sent again is either the same
    push, or too old.
    """

    keys: Keys = msgspec.field(default_factory=Keys)
    message_bytes: int = MESSAGE_BYTES
    signature_seconds: float = math.inf
    clock: Callable[[], float] = time.time

    def check_size(self, content: bytes, encoding: int = 1) -> None:
        """Raise NotTaken for JSON that is too large to decode, or would be when it is decoded.

        The transport makes up to `encoding` bytes of one.
        """
        size = len(content) // encoding
        if size > self.message_bytes:
            raise NotTaken(f"it has {size} bytes, and at most {self.message_bytes} are taken (limits.message_bytes)")
        most = self.message_bytes // _BYTES_OF_VALUE
        if sum(map(content.count, _BEGINNINGS)) > most:
            raise NotTaken(f"it has more than {most} values, too many to decode (limits.message_bytes)")

    def admit(self, headers: object, body: bytes, decode: Callable[[], object]) -> Admitted:
        """Return the admitted message; raises NotTaken, if possible before anything is decoded."""
        self.check_size(body)
        task, task_id, said = _read_headers(headers)
        try:
            signed = read_signature(said, body, self.keys)
        except SignatureWrong as error:
            raise NotTaken(str(error), answers=False) from None
        sender = None if signed is None else signed.sender
        self._check_sender(task, sender)
        self._check_age(signed)
        arguments, keywords, options = _read_call(decode())
        _check_arguments(task, len(arguments), keywords)
        if sender != WORKERS:
            _check_options(task, options)
            self._check_time(said)
        kept = {name: value for name, value in said.items() if name in _KEPT and value is not None}
        return Admitted(task, task_id, arguments, keywords, sender, kept)

    def _check_sender(self, task: str, sender: str | None) -> None:
        if task in INTERNAL:
            if sender == WORKERS or (sender is None and self.keys.workers is None):
                return
            raise NotTaken("its task is one that workers send each other, and no worker signed it", answers=False)
        if task not in ASKED:
            shown = task if _SHOWN.fullmatch(task) else "its task"
            raise NotTaken(f"{shown} is no task of a worker; there are {', '.join(sorted(ASKED))}", answers=False)
        if sender is None and self.keys.producers:
            why = "no producer signed it, and this worker serves those alone who have a key in its settings"
            raise NotTaken(why, unsigned=True)

    def _check_age(self, signed: Signed | None) -> None:
        if signed is None or signed.at is None:
            return
        age = self.clock() - signed.at
        if age > self.signature_seconds:
            most = f"{self.signature_seconds:.0f} (limits.ledger_seconds)"
            raise NotTaken(f"it was signed {age:.0f} seconds ago, and at most {most} are taken: send it anew")
        if age < -_AHEAD_SECONDS:
            raise NotTaken(f"it was signed {-age:.0f} seconds from now: the clocks of its sender and of workers differ")

    def _check_time(self, headers: Mapping[str, Any]) -> None:
        # Without a key, nothing tells a worker's own retry from a message that only claims to be a retry.
        is_retry = self.keys.workers is None and headers.get("retries")
        if headers.get("eta") is not None and not is_retry:
            raise NotTaken("it is not to begin before a certain time (eta, countdown): send it when it is due")


def _read_headers(headers: object) -> tuple[str, str, Mapping[str, Any]]:
    if not isinstance(headers, Mapping):
        raise NotTaken("it has no headers")
    task, task_id = headers.get("task"), headers.get("id")
    if not isinstance(task, str) or not isinstance(task_id, str):
        raise NotTaken("its headers name no task and id: Celery's message protocol 2 is taken, no other")
    if not contract.is_push_id(task_id):
        raise NotTaken("its id is not one of at most 128 letters, digits, '.', '_', ':' and '-'", answers=False)
    if headers.get("compression"):
        raise NotTaken("it is compressed: send it as it is")
    for name, kinds in _HEADERS.items():
        said = headers.get(name)
        if not isinstance(said, kinds) or not _is_plain(said):
            raise NotTaken(f"its {name} is not what Celery has there")
    if headers.get("timelimit") not in (None, [None, None]):
        raise NotTaken("it has a time limit, which workers do not keep")
    if any(headers.get(name) not in (None, [], {}) for name in ("stamped_headers", "stamps")):
        raise NotTaken("it has stamps, which workers do not make")
    for name in ("eta", "expires"):
        _check_moment(name, headers.get(name))
    return task, task_id, headers


def _is_plain(said: object) -> bool:
    if isinstance(said, str):
        try:
            said.encode()
        except UnicodeEncodeError:
            return False
    return not isinstance(said, int) or 0 <= said <= _MOST


def _check_moment(name: str, said: object) -> None:
    try:
        if said is not None:
            datetime.fromisoformat(said)  # type: ignore[arg-type]  # a TypeError is told of
    except (TypeError, ValueError):
        raise NotTaken(f"its {name} is no time") from None


def _read_call(payload: object) -> tuple[list[Any], dict[str, Any], Mapping[str, Any]]:
    match payload:
        case [list(arguments), dict(keywords), dict() | None as options] if (options or {}).keys() <= _OPTIONS:
            return arguments, keywords, options or {}
        case [list(), dict(), dict()]:
            raise NotTaken(f"its options are not {', '.join(sorted(_OPTIONS))}")
    raise NotTaken(NO_CALL)


def _check_arguments(task: str, number: int, keywords: Mapping[str, Any]) -> None:
    names = _ARGUMENTS[task]
    # The two flags of an undo may be left out.
    needed = names[:1] if task == contract.UNDO_TASK else names
    is_known = number <= len(names) and keywords.keys() <= set(names[number:])
    if not is_known or not set(needed) <= {*names[:number], *keywords}:
        raise NotTaken(f"its arguments are not those of its task: {', '.join(names)}")


def _check_options(task: str, options: Mapping[str, Any]) -> None:
    """Refuse options that would make a worker send tasks that the sender names."""
    chord = options.get("chord")
    if task == contract.COPY_TASK and isinstance(chord, Mapping) and _leads_to_publish(chord):
        chord = None
    follows = [name for name in ("callbacks", "errbacks", "chain") if options.get(name)]
    if chord:
        follows.append("chord")
    if follows:
        raise NotTaken(f"it asks the worker to send further tasks ({', '.join(follows)})")


def _leads_to_publish(callback: Mapping[str, Any]) -> bool:
    options = callback.get("options") or {}
    linked = isinstance(options, Mapping) and (options.get("link") or options.get("link_error") or options.get("chord"))
    return callback.get("task") == contract.PUBLISH_TASK and not linked
