"""Be told of each tag that moved, with Celery alone. Workers have `events.task` and `events.queue` for it.

BROKER_URL=redis://… celery -A signer worker --queues signing --without-gossip --without-mingle --without-heartbeat
"""

import os
from typing import Any

from celery import Celery

app = Celery("signer", broker=os.environ["BROKER_URL"])
# Apart from what workers have taken and not acknowledged yet.
own = {f"unacked{end}_key": f"signing.unacked{end}" for end in ("", "_index", "_mutex")}
app.conf.broker_transport_options = {"global_keyprefix": "imagepusher:", **own}
app.conf.task_default_queue = "signing"
# The user `consumer` of deploy/redis/users.acl has this queue and nothing else.
app.conf.worker_enable_remote_control = False


@app.task(name="signer.tag_moved")
def tag_moved(event: dict[str, Any]) -> None:
    """Sign what nobody has signed yet; an event may come twice."""
    print(f"{event['reference']}: {event['old_digest']} -> {event['new_digest']}", flush=True)
    for digest in event["unsigned"]:
        print(f"to sign: {event['repository']}@{digest}", flush=True)
