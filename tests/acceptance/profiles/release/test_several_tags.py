"""Several tags of a release that are written with one request (BEHAVIOUR 7.2, 10.1)."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.errors import (
    RegistryUnavailable,
)
from tests.acceptance.profiles.release.delivery import (
    NEW,
    TAGS,
    WHOLLY_NEW,
    WHOLLY_OLD,
    Fuse,
    Records,
    Worker,
    actions,
    begin,
    held,
    kill_everywhere,
)
from tests.support import images
from tests.support.profiles.server import ProfileRegistry
from tests.support.tag_locks import MemoryTagLocks


def tag_writes(registry: ProfileRegistry, since: int) -> list[tuple[str, int]]:
    """Return what was written at tags, and how it was answered: "" stands for the digest with several tags."""
    return [
        ("" if "sha256:" in each.path else each.path.rpartition("/")[2], each.status)
        for each in registry.requests()[since:]
        if each.method == "PUT" and (each.query or "sha256:" not in each.path)
    ]


def test_tags_that_get_one_manifest_are_written_with_one_request(together: ProfileRegistry) -> None:
    """Rule 10.1."""
    begin(together)
    since = len(together.requests())
    ended = Worker(together, Records(), Fuse(), MemoryTagLocks()).run(NEW)
    assert tag_writes(together, since) == [("", 201)]
    assert actions(ended) == dict.fromkeys(TAGS, "copied")
    assert held(together) == WHOLLY_NEW


def test_a_registry_that_names_no_tags_gets_one_request_for_each(registry: ProfileRegistry) -> None:
    """Rule 10.1: it ignores the tags beside a digest, and is asked once."""
    begin(registry)
    since = len(registry.requests())
    Worker(registry, Records(), Fuse(), MemoryTagLocks()).run(NEW)
    assert tag_writes(registry, since) == [("", 201), *((tag, 201) for tag in TAGS)]


@pytest.mark.parametrize("refused", TAGS[:-1])
def test_one_refused_tag_of_several_is_found_and_named(together: ProfileRegistry, refused: str) -> None:
    """Rule 10.1: the registry refuses all for one of them; the tags are then written one by one."""
    begin(together)
    together.immutable = (refused,)
    ended = Worker(together, Records(), Fuse(), MemoryTagLocks()).run(NEW)
    assert held(together) == WHOLLY_OLD
    place = TAGS.index(refused)
    assert actions(ended) == {
        tag: "rolled_back" if number < place else "failed" if number == place else "skipped"
        for number, tag in enumerate(TAGS)
    }


def test_a_worker_that_is_killed_around_a_request_for_several_tags(together: ProfileRegistry) -> None:
    """Rule 10.1."""
    assert kill_everywhere(together, (WHOLLY_NEW,)) == {"new"}
    together.immutable = ("3",)
    assert kill_everywhere(together, (WHOLLY_OLD,)) == {"old"}


class Afterwards(Fuse):
    """Do something right after the request for several tags; its answer may be `lost`."""

    def __init__(self, do: Callable[[], object], *, lost: bool = False) -> None:
        super().__init__()
        self._do = do
        self._lost = lost

    def around(self, act: Callable[..., Any]) -> Callable[..., Any]:
        if getattr(act, "__name__", "") != "tag_together":
            return act

        def write(*arguments: Any) -> Any:
            result = act(*arguments)
            self._do()
            if self._lost:
                raise RegistryUnavailable("No answer within the time allowed.")
            return result

        return write


@pytest.mark.parametrize("lost", [False, True])
def test_a_foreign_write_after_a_request_for_several_tags_is_noticed(together: ProfileRegistry, lost: bool) -> None:
    """Rules 7.2, 10.1: each of the tags is looked at afterwards, whatever the answer was."""
    begin(together)
    theirs = images.index([images.image("linux/s390x", [images.layer("theirs", 10)])])
    fuse = Afterwards(lambda: together.put("ns/app", theirs, "1"), lost=lost)
    ended = Worker(together, Records(), fuse, MemoryTagLocks()).run(NEW)
    assert held(together) == WHOLLY_OLD | {"1": theirs.digest}
    assert ended.reports["1"].error is not None
    assert ended.reports["1"].error.code == "tag_conflict"


def test_a_request_for_several_tags_whose_answer_is_lost_has_moved_them(together: ProfileRegistry) -> None:
    """Rule 10.1: no tag is written a second time."""
    begin(together)
    since = len(together.requests())
    locks = MemoryTagLocks()
    ended = Worker(together, Records(), Afterwards(lambda: None, lost=True), locks).run(NEW)
    assert held(together) == WHOLLY_NEW
    assert tag_writes(together, since) == [("", 201)]
    assert actions(ended) == dict.fromkeys(TAGS, "copied")
    # Rule 7.6: a late write by someone who stood still is known at each tag.
    assert {tag: written.digest for tag, written in locks.written.items()} == {
        f"{together.host}/ns/app:{tag}": NEW.digest for tag in TAGS
    }
