"""A manifest is stored once, and never over what someone else wrote meanwhile (BEHAVIOUR 7.2, 8.3)."""

import hashlib
import json

import pytest
from msgspec import structs

from tasks.errors import CopyIncomplete, RegistryUnavailable, TagConflict
from tasks.oci.digest import Digest
from tests.support.images import Image, image
from tests.support.scripted import Answer, Exchange, NoAnswer, Reply, ScriptedRegistry
from tests.unit.registry.clients import IMPATIENT, PING, QUICK, client, manifest_path

OURS, BEFORE, FOREIGN = image(), image("linux/arm64"), image("linux/s390x")
LATEST = manifest_path("latest")
BY_DIGEST = manifest_path(OURS.digest)
LOST: list[Reply] = [Answer(500), Answer(502), Answer(504), NoAnswer.DROP, NoAnswer.STALL]


def put(reply: Reply, path: str = LATEST) -> Exchange:
    return Exchange("PUT", path, reply, request_body=OURS.manifest)


def head(digest: str | None, path: str = LATEST) -> Exchange:
    described = {"Content-Type": OURS.media_type, "Content-Length": "7", "Docker-Content-Digest": digest or ""}
    return Exchange("HEAD", path, Answer(200, described) if digest else Answer(404))


def push(registry: ScriptedRegistry, reference: str = "latest", over: str | None = None) -> None:
    destination = client(registry.host, role="destination", push=True, limits=structs.replace(IMPATIENT, tries=3))
    destination.push_manifest(reference, OURS.manifest, OURS.media_type, over=Digest(over) if over else None)


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("over", [None, BEFORE.digest])
def test_a_tag_write_that_failed_but_was_stored_is_read_and_not_repeated(lost: Reply, over: str | None) -> None:
    """7.2: ours is success."""
    with ScriptedRegistry(PING, put(lost), head(OURS.digest), ordered=True) as registry:
        push(registry, over=over)


@pytest.mark.parametrize("over", [None, BEFORE.digest])
def test_a_tag_that_is_as_it_was_is_written_again(over: str | None) -> None:
    """8.3."""
    with ScriptedRegistry(PING, put(Answer(503)), head(over), put(Answer(201)), ordered=True) as registry:
        push(registry, over=over)


@pytest.mark.parametrize(
    ("over", "found"), [(None, FOREIGN.digest), (BEFORE.digest, FOREIGN.digest), (BEFORE.digest, None)]
)
def test_what_someone_else_did_to_a_tag_meanwhile_is_never_overwritten(over: str | None, found: str | None) -> None:
    """7.2: a visible conflict, and not one more PUT."""
    script = (PING, put(Answer(500)), head(found))
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(TagConflict, match=found or "absent"):
        push(registry, over=over)


def test_a_conflict_of_a_later_try_counts_too() -> None:
    """7.2."""
    script = (PING, put(Answer(500)), head(BEFORE.digest), put(NoAnswer.DROP), head(FOREIGN.digest))
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(TagConflict):
        push(registry, over=BEFORE.digest)


def test_the_first_write_is_not_preceded_by_a_read() -> None:
    """7.2: whoever decided to write has read already."""
    with ScriptedRegistry(PING, put(Answer(201)), ordered=True) as registry:
        push(registry)


def test_a_read_that_fails_is_a_try_and_no_permission() -> None:
    """7.2, 8.3: without knowing what the tag holds nothing is written."""
    unknown = Exchange("HEAD", LATEST, Answer(503), times=2)
    script = (PING, put(Answer(500)), unknown)
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(RegistryUnavailable, match=r"tries: 3"):
        push(registry)


def test_a_registry_whose_head_says_too_little_is_asked_for_the_manifest() -> None:
    """7.2."""
    whole = Answer(200, {"Content-Type": FOREIGN.media_type}, FOREIGN.manifest)
    script = (PING, put(Answer(500)), Exchange("HEAD", LATEST, Answer(405)), Exchange("GET", LATEST, whole))
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(TagConflict, match=FOREIGN.digest):
        push(registry)


@pytest.mark.parametrize("lost", LOST)
def test_a_write_by_digest_reads_first_too(lost: Reply) -> None:
    """8.3."""
    with ScriptedRegistry(PING, put(lost, BY_DIGEST), head(OURS.digest, BY_DIGEST), ordered=True) as registry:
        push(registry, OURS.digest)


def test_a_write_by_digest_is_repeated_where_nothing_arrived() -> None:
    """8.3: no two contents have one digest, so there is nothing to overwrite."""
    script = (PING, put(Answer(500), BY_DIGEST), head(None, BY_DIGEST), put(Answer(201), BY_DIGEST))
    with ScriptedRegistry(*script, ordered=True) as registry:
        push(registry, OURS.digest, over=BEFORE.digest)


@pytest.mark.parametrize(("held", "again"), [(OURS, False), (BEFORE, True)])
def test_what_a_tag_holds_is_recognised_whatever_the_algorithm_that_is_announced(held: Image, *, again: bool) -> None:
    """7.2."""
    announced = f"sha512:{hashlib.sha512(held.manifest).hexdigest()}"
    headers = {"Content-Type": held.media_type, "Docker-Content-Digest": announced}
    got = Exchange("GET", LATEST, Answer(200, headers, held.manifest))
    stored = Answer(201, {"Docker-Content-Digest": f"sha512:{hashlib.sha512(OURS.manifest).hexdigest()}"})
    script = [put(Answer(500)), head(announced), got, *([put(stored)] if again else [])]
    with ScriptedRegistry(PING, *script, ordered=True) as registry:
        push(registry, over=BEFORE.digest)


def test_tries_are_bounded() -> None:
    """8.3."""
    tries = [exchange for _ in range(QUICK.tries) for exchange in (put(Answer(503)), head(None))][:-1]
    # The answer to each read comes before the next write: three writes and two reads are three tries.
    with ScriptedRegistry(PING, *tries, ordered=True) as registry, pytest.raises(RegistryUnavailable, match="tries: 3"):
        push(registry)


def test_a_refusal_is_final() -> None:
    """8.3, 5.2."""
    body = json.dumps({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}).encode()
    with ScriptedRegistry(PING, put(Answer(400, body=body))) as registry, pytest.raises(CopyIncomplete):
        push(registry)
