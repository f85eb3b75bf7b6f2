"""The canvas of a push: a chord of its copies with the publish callback, under the id that its producer waits for."""

from typing import Any, Final

from celery import Celery, Signature, chord

from tasks import contract
from tasks.celery_glue.display import counted, describe_push, shortened
from tasks.transfer.plan.plan import Copy, Plan

# A push of one image is not stuck behind a push of 500: the first copies of each push go before its many later ones.
# Redis serves the lowest number first. In each pair, copies at positions below the first number have the priority.
_PRIORITIES: Final = ((8, 0), (64, 3), (512, 6))
_LOWEST: Final = 9


def canvas_of(app: Celery, plan: Plan, ended: frozenset[str] = frozenset()) -> Signature[Any]:
    """Return the signature that finishes a plan: the copies that have not `ended`, then the tags.

    Each header message carries the whole callback: both name only the push; the ledger holds the rest.
    """
    # Made by name, not from the tasks themselves: those belong to the default application of the process.
    published = app.signature(contract.PUBLISH_TASK, args=(plan.push_id,), immutable=True)
    # The callback has the task id of the push: its row in a monitor still shows a push.
    published.options["shadow"] = contract.PUSH_TASK
    published.options["argsrepr"] = describe_push(_outlined(plan))
    open_copies = [planned for planned in plan.copies if planned.digest not in ended]
    if not open_copies:
        return published
    inverted = str(app.conf.broker_url or "").startswith("amqp")
    header = []
    for position, planned in enumerate(open_copies):
        signature = app.signature(contract.COPY_TASK, args=(plan.push_id, planned.digest))
        signature.options["argsrepr"] = _shown(_described(planned))
        signature.options["priority"] = _priority(position, inverted=inverted)
        header.append(signature)
    return chord(header, published, app=app)


def drive_on(app: Celery, plan: Plan, ended: frozenset[str], task_id: str) -> None:
    """Send the remaining tasks of a push again; its result is that of `task_id`."""
    canvas_of(app, plan, ended).apply_async(task_id=task_id)


def send_again(app: Celery, request: Any, task_id: str) -> None:
    """Send a push without a plan again; the task id names the push if the request does not."""
    app.send_task(contract.PUSH_TASK, args=[request], task_id=task_id)


def _priority(position: int, *, inverted: bool) -> int:
    priority = next((priority for below, priority in _PRIORITIES if position < below), _LOWEST)
    return _LOWEST - priority if inverted else priority


def _described(planned: Copy) -> str:
    return f"{planned.source}@{shortened(planned.digest)} → {counted(len(planned.destinations), 'repository')}"


def _outlined(plan: Plan) -> dict[str, Any]:
    """Return the images and tags of a plan in the form of a request."""
    items = []
    for item in plan.items:
        destinations: dict[str, list[str]] = {}
        for tag in item.tags:
            destinations.setdefault(tag.reference.name, []).append(tag.reference.identifier)
        items.append({"source": str(item.wanted.source), "destinations": destinations})
    return {"items": items}


def _shown(text: str) -> str:
    """Return a text in the form in which monitors show arguments."""
    return f"({text})"
