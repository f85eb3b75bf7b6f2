"""A push that is interrupted on its way to every registry (BEHAVIOUR 5.5, 7.4)."""

import json
import subprocess
import threading
import uuid
from dataclasses import replace

import pytest

from tasks.contract import TagReport
from tests.acceptance.profiles.cases import UPLOADING, over
from tests.acceptance.profiles.conftest import Scene
from tests.support import commands
from tests.support.processes import wait_until
from tests.support.profiles import profiles
from tests.support.workers import command, environment


@over(UPLOADING)
def test_a_push_that_is_killed_completes_when_it_is_run_again(scene: Scene) -> None:
    """Rules 6.5 and 7.4: killed while a blob is committed; the commit lands after its sender's end."""
    source = scene.index("linux/amd64", "linux/arm64")
    request = json.dumps(scene.request(scene.offer(source), "1"))
    arguments = ("push", "-", "--push-id", str(uuid.uuid4()), "-o", "json", "-q")
    with scene.registry.gates.hold("PUT", "/blobs/uploads/") as gate:
        process = subprocess.Popen(
            command(*arguments),
            env=environment(scene.command_settings()),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(request.encode())
            process.stdin.close()
            wait_until(lambda: gate.arrived > 0 or process.poll() is not None, "no blob was committed")
        finally:
            process.kill()
            process.wait()
    assert gate.arrived
    assert scene.registry.tags(scene.repository) == {}
    again = commands.run(*arguments, settings=scene.command_settings(), stdin=request)
    assert again.code == 0, again.stdout
    assert [tag["action"] for tag in again.document["items"][0]["tags"]] == ["copied"]
    scene.assert_whole("1", source.digest)


@over(
    [
        replace(
            profiles.QUAY,
            name="quay-without-time-machine",
            manifests=replace(profiles.QUAY.manifests, time_machine_seconds=0),
        ),
        replace(
            profiles.QUAY,
            name="quay-short-tags",
            manifests=replace(profiles.QUAY.manifests, time_machine_seconds=0, temporary_tag_seconds=4),
            uploads=replace(profiles.QUAY.uploads, uploaded_blob_seconds=4),
        ),
    ],
)
@pytest.mark.parametrize("at", ["/manifests/1$", "/manifests/sha256:"])
def test_what_is_collected_while_a_push_is_under_way_is_copied_again(scene: Scene, at: str) -> None:
    """Rule 5.5: found by looking, whatever the registry's words."""
    source = scene.index("linux/amd64", "linux/arm64")
    reference = scene.offer(source)
    reports: list[TagReport] = []
    with scene.registry.gates.hold("PUT", at) as gate:
        pushing = threading.Thread(target=lambda: reports.append(scene.push_one(reference)))
        pushing.start()
        gate.wait()
        scene.registry.clock.advance(2 * 3600)
        scene.registry.store.collect()
        scene.registry.tokens.revoke()
        gate.open()
        pushing.join()
    (tag,) = reports
    assert (tag.action, tag.error) == ("copied", None)
    scene.assert_whole("1", source.digest)
