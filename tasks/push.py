"""`imagepusher.push.v1`: plan a push and hand it to its chord."""

from typing import Any

import msgspec
from celery import Task, chord, shared_task

from tasks import contract, runtime
from tasks.copy import copy
from tasks.errors import RegistryUnavailable, RequestInvalid
from tasks.publish import publish
from tasks.retrying import pause, tries_left


@shared_task(name=contract.PUSH_TASK, bind=True, max_retries=10, throws=(RequestInvalid,))
def push(self: Task[Any, Any], request: Any) -> Any:
    """Validate, resolve, plan; then become the chord of copies with its publish callback, under the same task id."""
    here = runtime.of(self.app)
    given = request.get("push_id") if isinstance(request, dict) else None
    push_id = given if given and isinstance(given, str) else str(self.request.id)
    try:
        plan = here.accepting.accept(push_id, request, last_try=not tries_left(self, here.task_tries))
    except RegistryUnavailable as error:
        raise self.retry(countdown=pause(self, error)) from None
    if isinstance(plan, contract.PushReport):
        return msgspec.to_builtins(plan)
    published = publish.si(push_id)
    # Each header message carries the whole callback: both name the push, the ledger holds the rest.
    copies = [copy.s(push_id, planned.digest) for planned in plan.copies]
    return self.replace(chord(copies, published) if copies else published)
