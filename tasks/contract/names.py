"""The names of tasks and queues."""

from typing import Final

PUSH_TASK: Final = "imagepusher.push.v1"
COPY_TASK: Final = "imagepusher.copy.v1"
PUBLISH_TASK: Final = "imagepusher.publish.v1"
PREVIEW_TASK: Final = "imagepusher.preview.v1"
VERIFY_TASK: Final = "imagepusher.verify.v1"
UNDO_TASK: Final = "imagepusher.undo.v1"

PUSH_QUEUE: Final = "imagepusher.push"
COPY_QUEUE: Final = "imagepusher.copy"
PUBLISH_QUEUE: Final = "imagepusher.publish"
QUEUES: Final = (PUSH_QUEUE, COPY_QUEUE, PUBLISH_QUEUE)
