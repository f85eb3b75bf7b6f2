"""The facts of the ledger about a message: whether its task is spent, and whose push it works on.

A message from another sender neither replaces the result of a push nor works on the push.
"""

from tasks import contract
from tasks.celery_glue.admission import ASKED, INTERNAL, Admitted, NotTaken
from tasks.transfer.ports import Claims
from tasks.transfer.request.policy import WORKERS


def check_ownership(message: Admitted, claims: Claims) -> None:
    """Raise NotTaken if a message bears the id of a push but is another task, or works on another producer's push.

    Raises it also if the task of the message was revoked, or is an undo that has ended: whoever got hold of the message
    could send it again. Raises StateUnavailable.
    """
    if message.task in ASKED and claims.is_spent(message.task_id):
        raise NotTaken("its task was revoked, or has ended", spent=True)
    # Where no key tells workers from producers, the tasks of workers are taken from anybody.
    if message.sender == WORKERS or message.task in INTERNAL:
        return
    is_push = message.task == contract.PUSH_TASK
    push_id = contract.push_id_of(message.request, message.task_id) if is_push else None
    known = claims.request(message.task_id)
    if known is not None and (
        push_id != message.task_id or (not contract.is_same_request(known, message.request) and claims.is_open(push_id))
    ):
        raise NotTaken("its id is that of a push that it is not", answers=False)
    if push_id is None or not contract.is_push_id(push_id) or claims.request(push_id) is None:
        return
    if claims.producer(push_id) != message.producer:
        raise NotTaken("the push id belongs to a push of somebody else", answers=push_id != message.task_id)
