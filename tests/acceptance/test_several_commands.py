"""Several commands without a broker at once: processes of one user that share nothing but the state folder."""

import json
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from tasks.coordination.local.in_process import KeyLocks
from tasks.coordination.local.tag_locks import FileTagLocks
from tests.acceptance.conftest import World
from tests.support.commands import Ended, run
from tests.support.faults import Fault
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import image, index, layer

_PATIENCE = 2.0


class Overlap:
    """Hold the first write of a tag until another one has come as well, and that one until its like has ended.

    Where writers take turns no other one comes while the first is held: it goes on after a while.
    """

    def __init__(self, tag: str) -> None:
        self._end = f"/manifests/{tag}"
        self._guard = threading.Lock()
        self._writes = 0
        self._met = threading.Event()
        self.one_has_ended = threading.Event()

    def choose(self, method: str, target: str, *, authorized: bool) -> Fault | None:
        del authorized
        if method == "PUT" and target.endswith(self._end):
            with self._guard:
                self._writes += 1
                is_first = self._writes == 1
            if is_first:
                self._met.wait(_PATIENCE)
            else:
                self._met.set()
                self.one_has_ended.wait(_PATIENCE * 5)
        return None


def push(source: str, repository: str, settings: dict[str, str]) -> Ended:
    """Push one image to tag 1 of a repository."""
    request = {"items": [{"source": source, "destinations": {repository: ["1"]}}]}
    return run("push", "-", "-o", "json", "-q", settings=settings, stdin=json.dumps(request))


def test_commands_that_merge_into_one_tag_at_once_lose_nothing(world: World, tmp_path: Path) -> None:
    """Rules 7.1 and 7.2: whichever comes last, it has seen what the other one wrote."""
    platforms = ["linux/amd64", "linux/arm64"]
    sources = [
        world.put_a(index([image(each, [layer(f"{world.name} {each}", 100)])]), each.partition("/")[2])
        for each in platforms
    ]
    overlap = Overlap("1")
    settings = {"IMAGEPUSHER_STATE_DIR": str(tmp_path)}
    with FaultyProxy(world.b.host, overlap) as proxy, ThreadPoolExecutor(2) as threads:
        destination = f"{proxy.host}/{world.destination}"
        pushes = [threads.submit(push, source, destination, settings) for source in sources]
        wait(pushes, return_when=FIRST_COMPLETED)
        overlap.one_has_ended.set()
        ended = [each.result() for each in pushes]
    assert [each.code for each in ended] == [0, 0], ended
    found = {f"linux/{entry['platform']['architecture']}" for entry in world.entries()}
    assert found == set(platforms)
    world.stored.holds(world.destination, "1")


def test_a_command_waits_for_a_tag_that_another_process_holds_and_says_so_if_it_waits_in_vain(
    world: World, tmp_path: Path
) -> None:
    """Rule 7.1: the tag is not touched meanwhile."""
    source = world.put_a(index([image("linux/amd64", [layer(world.name, 100)])]))
    destination = f"{world.b.host}/{world.destination}"
    settings_file = tmp_path / "settings.toml"
    settings_file.write_text("[limits]\nlock_wait_seconds = 0.2\n")
    settings = {"IMAGEPUSHER_STATE_DIR": str(tmp_path / "state"), "IMAGEPUSHER_CONFIG": str(settings_file)}
    with FileTagLocks(tmp_path / "state" / "tags", KeyLocks(), 0).hold(f"{destination}:1"):
        refused = push(source, destination, settings)
    (tag,) = refused.document["items"][0]["tags"]
    assert (tag["action"], tag["error"]["code"]) == ("failed", "lock_unavailable")
    assert world.stored.tags(world.destination) == []
    assert push(source, destination, settings).code == 0
