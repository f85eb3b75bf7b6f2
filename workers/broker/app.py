"""The Celery application: every setting and its reason.

The statements on Celery, kombu and the brokers were checked with Celery 5.7, kombu 5.7, Redis 7 and RabbitMQ 3.10.
"""

from typing import Any, Final

from celery import Celery
from kombu import Exchange, Queue

import tasks.copy
import tasks.preview
import tasks.publish
import tasks.push
import tasks.undo
import tasks.verify
from tasks import contract
from workers.broker.celery_url import for_celery
from workers.broker.connection import BrokerConnection
from workers.broker.signed import SigningAMQP, sign_with
from workers.settings import Settings

KEY_PREFIX: Final = "imagepusher:"
# On Redis, workers take pushes from this queue once they are in the ledger; producers send to contract.PUSH_QUEUE.
NOTED_QUEUE: Final = f"{contract.PUSH_QUEUE}.noted"

# Importing these modules binds the tasks to every application that is made here.
_TASK_MODULES: Final = (tasks.push, tasks.copy, tasks.publish, tasks.preview, tasks.verify, tasks.undo)

_QUEUE_OF: Final = {
    contract.PUSH_TASK: contract.PUSH_QUEUE,
    contract.COPY_TASK: contract.COPY_QUEUE,
    contract.PUBLISH_TASK: contract.PUBLISH_QUEUE,
    contract.PREVIEW_TASK: contract.PUSH_QUEUE,
    contract.VERIFY_TASK: contract.PUSH_QUEUE,
    contract.UNDO_TASK: contract.PUBLISH_QUEUE,
}


class _Messaging(SigningAMQP):
    """Celery's messaging: signed messages over connections of this program."""

    Connection = BrokerConnection


def make_app(settings: Settings) -> Celery:
    """Return the application of a broker."""
    app = Celery("imagepusher", set_as_current=False, amqp=_Messaging)
    app.conf.update(_COMMON)
    app.conf.update(_of_broker(settings))
    sign_with(app, settings.trust.signer)
    app.set_default()
    return app


_COMMON: Final[dict[str, Any]] = {
    # JSON only: a message is data, never code.
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    # The task of a dead worker is delivered again. With an early acknowledgement the chord would hang for ever.
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    # Prefork pool only: a task that always kills its child process ends after `max_retries` instead of looping.
    "task_retry_on_worker_lost": True,
    # Each of these can lose work: the first leaves chords hanging, the second adds a visibility timeout.
    "worker_deduplicate_successful_tasks": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # Raw arguments do not belong in the result store.
    "result_extended": False,
    # One task for each slot: a long copy must not block other tasks in its worker.
    "worker_prefetch_multiplier": 1,
    # Flower shows a push as started from these events; an event for each sent message would only add load.
    "task_track_started": True,
    "worker_send_task_events": True,
    # The keys of a chord outlive the longest push: a chord hangs if one of its results expires before it ends.
    "result_expires": 86_400,
    "result_chord_expires": 7 * 86_400,
    # A temporary outage of the result store does not fail a chord.
    "result_backend_always_retry": True,
    "broker_connection_retry_on_startup": True,
    # This project configures logging itself (workers/observability).
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
}


def _of_broker(settings: Settings) -> dict[str, Any]:
    redis_options = {
        # With a prefix, several applications can share a Redis, and an ACL can name our keys.
        "global_keyprefix": KEY_PREFIX,
        # Otherwise a connection blocks for ever if its other end disappears without closing it.
        "socket_timeout": 30,
        "socket_keepalive": True,
    }
    broker, results = for_celery(settings.broker_url or ""), for_celery(settings.result_url or "")
    options: dict[str, Any] = {
        "broker_url": broker.url,
        "broker_use_ssl": broker.tls,
        "result_backend": results.url,
        "redis_backend_use_ssl": results.tls,
        "result_backend_transport_options": {"global_keyprefix": KEY_PREFIX, **results.options},
    }
    if (settings.broker_url or "").startswith("amqp"):
        # The settings keep copies shorter than RabbitMQ's consumer_timeout.
        return options | _queues("", rabbitmq=True)
    broker_options = redis_options | {
        # Longer than the longest copy: a shorter time only repeats work.
        "visibility_timeout": settings.visibility_seconds,
        # Search for the messages of dead workers every 10 seconds, not every 100.
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
    }
    return options | {
        "broker_transport_options": {**broker_options, **broker.options},
        # A worker without a free slot takes no message: the queue's length is correct, and other workers can take it.
        "worker_disable_prefetch": True,
        **_queues("", rabbitmq=False),
    }


def _queues(suffix: str, *, rabbitmq: bool) -> dict[str, Any]:
    """Return three queues: long copies must not delay planning and publishing.

    On RabbitMQ they are quorum queues (replicated, durable) on a topic exchange: on a direct exchange, Celery's delayed
    delivery blocks slots. On other brokers the exchange is direct: Celery then names the queue itself, and does not
    request its bindings for each message.
    """
    kind = "topic" if rabbitmq else "direct"
    exchange = Exchange("imagepusher" if rabbitmq else "", type=kind)
    arguments = {"x-queue-type": "quorum"} if rabbitmq else {}
    routes = {task: queue + suffix for task, queue in _QUEUE_OF.items()}
    return {
        "task_queues": [
            Queue(name + suffix, exchange, routing_key=name + suffix, queue_arguments=arguments)
            for name in (*contract.QUEUES, *(() if suffix or rabbitmq else (NOTED_QUEUE,)))
        ],
        "task_default_queue": contract.PUSH_QUEUE + suffix,
        "task_default_exchange": exchange.name,
        "task_default_exchange_type": kind,
        "task_default_routing_key": contract.PUSH_QUEUE + suffix,
        "task_routes": {
            task: {"queue": queue} | ({"routing_key": queue} if rabbitmq else {}) for task, queue in routes.items()
        },
    }
