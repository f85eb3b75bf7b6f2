"""Call ContainerImagePusher as a program does that embeds it: a process of its own, so that nothing else is in it.

`python -m tests.support.embedding` reads the call from stdin as JSON and prints what came of it.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tests.support.workers import environment

_DEADLINE = 300.0


@dataclass(frozen=True)
class Called:
    """What came of a call: its report, or the classes, message and arguments of its error; and what was logged."""

    report: dict[str, Any] | None
    error: str | None
    caught: list[str]
    message: str
    details: Any
    log: str


def call(
    method: str,
    *arguments: Any,
    items: Any = (),
    target_settings: Mapping[str, Any] | None = None,
    as_objects: bool = False,
    settings: Mapping[str, str],
) -> Called:
    """Call a method of a pusher of `items` with `target_settings`; items become objects with attributes if wanted."""
    asked = {
        "method": method,
        "arguments": arguments,
        "items": items,
        "target_settings": target_settings or {},
        "as_objects": as_objects,
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        env=environment(settings),
        input=json.dumps(asked).encode(),
        capture_output=True,
        timeout=_DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return Called(**json.loads(done.stdout), log=done.stderr.decode())


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    import msgspec

    from tasks.errors import ImagePusherError
    from tasks.pusher import ContainerImagePusher

    def item(document: Any) -> Any:
        return SimpleNamespace(**document) if asked["as_objects"] else document

    pusher = ContainerImagePusher([item(each) for each in asked["items"]], asked["target_settings"])
    arguments = list(asked["arguments"])
    if asked["method"].endswith("push_item"):
        arguments[0] = item(arguments[0])
    method = getattr(pusher, asked["method"])
    if asked["method"] == "run_tag_images":
        method = ContainerImagePusher.run_tag_images
    try:
        report = msgspec.to_builtins(method(*arguments))
    except ImagePusherError as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {
            "report": None,
            "error": kinds[0],
            "caught": kinds,
            "message": str(error),
            "details": error.args[1:],
        }
    return {"report": report, "error": None, "caught": [], "message": "", "details": None}


if __name__ == "__main__":
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)
