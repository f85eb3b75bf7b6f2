"""Errors, log events and the hook of the class are those of pubtools-quay."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.pusher.program import Program
from tests.support.images import Index
from tests.support.workers import environment


@pytest.mark.parametrize(
    ("change", "caught"),
    [
        ({"dest_quay_user": "me"}, {"RequestInvalid", "ValueError"}),
        ({"quay_namespace": None}, {"RequestInvalid", "KeyError"}),
        ({}, {"PushFailed", "RuntimeError"}),
    ],
    ids=["half a pair", "no namespace", "no source"],
)
def test_errors_are_those_that_callers_of_pubtools_quay_catch(
    program: Program, change: dict[str, Any], caught: set[str]
) -> None:
    items = [program.item(f"{program.a.host}/gone:1")]
    called = program("push_container_images", items=items, target_settings=program.target_settings | change)
    assert caught <= set(called.caught)


OPERATED = """
import json, logging, sys
import pluggy
import pubtools.pluggy as installed
from tasks.pusher import ContainerImagePusher

class Plugin:
    @pluggy.HookimplMarker("pubtools")
    def quay_images_tagged(self, source_ref, dest_refs):
        told.append([source_ref, dest_refs])

class Events(logging.Handler):
    def emit(self, record):
        told.append(record.event["type"])

told = []
installed.pm.register(Plugin())
logger = logging.getLogger("pubtools.quay")
logger.setLevel(logging.INFO)
logger.addHandler(Events())
for items in json.loads(sys.argv[1]):
    try:
        ContainerImagePusher(items, json.loads(sys.argv[2])).push_container_images()
    except RuntimeError:
        told.append("failed")
print(json.dumps(told))
"""


PLUGGY = """
import pluggy
pm = pluggy.PluginManager("pubtools")
"""


def test_log_events_and_the_hook_are_those_of_pubtools_quay(
    program: Program, multi_arch: Index, tmp_path: Path
) -> None:
    """Its package is stood in for by the plug-in manager that it is."""
    package = tmp_path / "installed" / "pubtools"
    package.mkdir(parents=True)
    (package / "pluggy.py").write_text(PLUGGY)
    source = program.put_a(multi_arch)
    pushes = [[program.item(source, {"ns/b": ["1"], "ns/a": ["2", "1"]})], [program.item(f"{program.a.host}/gone:1")]]
    done = subprocess.run(
        [sys.executable, "-c", OPERATED, json.dumps(pushes), json.dumps(program.target_settings)],
        env=environment({"IMAGEPUSHER_STATE_DIR": str(program.state), "PYTHONPATH": f"{package.parent}:{Path.cwd()}"}),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    root = f"{program.b.host}/{program.name}/ns----"
    assert json.loads(done.stdout) == [
        "push-images-to-quay-start",
        [source, [f"{root}a:1", f"{root}a:2", f"{root}b:1"]],
        "push-images-to-quay-end",
        "push-images-to-quay-start",
        "push-images-to-quay-error",
        "failed",
    ]
