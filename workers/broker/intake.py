"""Take pushes from their queue on Redis without loss: each is in the ledger before Celery takes its message.

kombu first removes a message from Redis, and records it as unacknowledged a moment later. If Redis or the worker ends
in between, the message is lost. The ledger knows copies and tags, and the watchdog sends them again; the intake adds
each push to the ledger.
"""

import json
import logging
import threading
from collections.abc import Callable
from typing import Any, Final, cast

import redis
from redis.exceptions import RedisError

from tasks import contract
from tasks.celery_glue.admission import Admission, Admitted, NotTaken
from tasks.celery_glue.ownership import check_ownership
from tasks.errors import StateUnavailable
from tasks.transfer.ports import Ledger
from workers.broker.app import KEY_PREFIX, NOTED_QUEUE
from workers.broker.messages import UndecodableError, content_of, decode, is_envelope

LOG: Final = logging.getLogger(__name__)

_QUEUE: Final = f"{KEY_PREFIX}{contract.PUSH_QUEUE}"
# The messages here were taken, and may not be in the ledger yet.
_INTAKE: Final = f"{_QUEUE}.intake"
_NOTED: Final = f"{KEY_PREFIX}{NOTED_QUEUE}"
# kombu's queues for the other priorities.
_BY_PRIORITY: Final = tuple(f"{_QUEUE}\x06\x16{priority}" for priority in (3, 6, 9))
_WAIT_SECONDS: Final = 1
_NO_ROOM_SECONDS: Final = 0.05
_ANYBODY: Final = Admission()
# The transport encodes the body in base64 (four bytes for three) and adds headers.
_RAW_FACTOR: Final = 2
# Only one of the workers that find a message in the intake passes it on.
_HANDOVER: Final = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 1 then redis.call('LPUSH', KEYS[2], ARGV[1]) end
"""


class Intake:
    """A thread that records pushes in the ledger and passes them on while this worker has room for more tasks."""

    def __init__(
        self,
        broker: redis.Redis,
        ledger: Ledger,
        has_room: Callable[[], bool],
        refuse: Callable[[object, NotTaken], None],
        admission: Admission = _ANYBODY,
    ) -> None:
        self._broker = broker
        self._refuse = refuse
        self._ledger = ledger
        self._admission = admission
        self._has_room = has_room
        self._pass_on = broker.register_script(_HANDOVER)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        """Begin to take pushes."""
        self._thread.start()

    def stop(self) -> None:
        """Stop taking pushes."""
        self._stopped.set()

    def take(self) -> None:
        """Take a push if one arrives soon, and pass on all taken messages, also those of workers that have ended."""
        for queue in _BY_PRIORITY:
            self._broker.lmove(queue, _INTAKE, "RIGHT", "LEFT")
        if not self._broker.llen(_INTAKE):
            self._broker.blmove(_QUEUE, _INTAKE, _WAIT_SECONDS, "RIGHT", "LEFT")
        for taken in reversed(cast("list[bytes]", self._broker.lrange(_INTAKE, 0, -1))):
            refused = self._take_in(taken)
            if refused is None:
                self._pass_on(keys=[_INTAKE, _NOTED], args=[taken])
                continue
            LOG.error("What lay in the queue of pushes is not taken, and thrown away: %s.", refused)
            self._broker.lrem(_INTAKE, 1, cast("str", taken))

    def _take_in(self, taken: bytes) -> NotTaken | None:
        """Record a push; if its message is refused, tell the sender and return the reason."""
        task_id: object = None
        try:
            self._admission.check_size(taken, _RAW_FACTOR)
            message = _parse(taken)
            task_id = (message.get("headers") or {}).get("id")
            _check_envelope(message)
            content = content_of(message)
            admitted = self._admission.admit(message.get("headers"), content, lambda: decode(message, content))
            check_ownership(admitted, self._ledger)
            self._note(admitted)
        except (RedisError, StateUnavailable):
            raise
        except NotTaken as error:
            refused = error
        except UndecodableError as error:
            refused = NotTaken(str(error))
        except Exception as error:  # noqa: BLE001 - anyone may have sent it, and it would return for ever
            refused = NotTaken(f"it cannot be noted ({type(error).__name__})")
        else:
            return None
        self._refuse(task_id, refused)
        return refused

    def _run(self) -> None:
        while not self._stopped.is_set():
            if not self._has_room():
                self._stopped.wait(_NO_ROOM_SECONDS)
                continue
            try:
                self.take()
            except (RedisError, StateUnavailable) as error:
                LOG.warning("No push can be taken at the moment (%s: %s).", type(error).__name__, error)
                self._stopped.wait(_WAIT_SECONDS)

    def _note(self, message: Admitted) -> None:
        request = message.request
        if message.task != contract.PUSH_TASK or not isinstance(request, dict):
            return
        push_id = contract.push_id_of(request, message.task_id)
        if not contract.is_push_id(push_id):
            # The task reports it.
            return
        known = self._ledger.request(push_id)
        if known is None:
            # In this order: a push that is known and has no producer would be that of workers, and stay so.
            if message.producer is not None:
                self._ledger.note_producer(push_id, message.producer)
            self._ledger.enqueue(push_id, request, message.task_id)
        elif contract.is_same_request(known, request) and self._ledger.task_id(push_id) != message.task_id:
            self._ledger.note_waiting(push_id, message.task_id)


def _parse(taken: bytes) -> dict[str, Any]:
    try:
        message = json.loads(taken)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) and isinstance(message.get("headers", {}), dict | None) else {}


def _check_envelope(message: dict[str, Any]) -> None:
    if not is_envelope(message):
        raise NotTaken("it is no JSON object with a body, headers and properties as kombu writes them")
