"""A registry, or a proxy before it, that drops bodies, or does not join parts (BEHAVIOUR 5.6, 6.8)."""

from dataclasses import replace

import pytest
from msgspec import structs

from tasks.errors import ContentMismatch, RegistryUnavailable, RequestRefused
from tasks.registry.settings import RegistrySettings
from tests.support.readers import MemoryReader
from tests.support.scripted import Answer, Exchange, NoAnswer, Received, Reply, ScriptedRegistry
from tests.unit.registry.blob.uploads import (
    AGAIN,
    BIG,
    CANCEL,
    POST,
    POST_AGAIN,
    SMALL,
    STORED,
    errors,
    patching,
    status,
    taken,
)
from tests.unit.registry.clients import PING, QUICK, SESSION, client

HALF = SMALL.size // 2
CANCEL_AGAIN = replace(CANCEL, path=AGAIN)


def patch_of(content: bytes, reply: Reply, session: str = SESSION) -> Exchange:
    def check(received: Received) -> None:
        assert received.body == content

    return Exchange("PATCH", session, reply, check=check)


def in_halves(session: str = SESSION, stored: int = SMALL.size) -> list[Exchange]:
    """Return the script of an upload in two parts, up to the look at what was stored."""
    first, second = (Answer(202, {"Location": session, "Range": f"0-{end - 1}"}) for end in (HALF, SMALL.size))
    return [
        patch_of(SMALL.content[:HALF], first, session),
        patch_of(SMALL.content[HALF:], second, session),
        SMALL.put(start=SMALL.size, session=session),
        SMALL.present(stored),
    ]


@pytest.mark.parametrize("reply", [NoAnswer.DROP, Answer(502), Answer(504)])
def test_a_put_that_is_dropped_twice_is_followed_by_a_patch(reply: Reply) -> None:
    """5.6: in a new session, and the next blob goes that way at once."""
    lost = [SMALL.put(reply), SMALL.absent()]
    location = Answer(202, {"Location": AGAIN, "Range": f"0-{SMALL.size - 1}"})
    ladder = [POST_AGAIN, SMALL.patch(location, session=AGAIN), SMALL.put(start=SMALL.size, session=AGAIN)]
    script = (PING, POST, *lost, status(0), *lost, CANCEL, *ladder, *ladder)
    with ScriptedRegistry(*script, ordered=True) as registry:
        destination = client(registry.host, role="destination")
        for _ in range(2):
            destination.blob_upload(SMALL.blob, MemoryReader(SMALL.content), lambda _: None).run()


def test_a_patch_that_is_dropped_twice_is_followed_by_parts() -> None:
    """5.6: of half the size; however many tries there are for one form."""
    lost = [SMALL.patch(NoAnswer.DROP, read=0), status(0)]
    script = patching(SMALL, *lost, lost[0], CANCEL, POST_AGAIN, *in_halves(AGAIN))
    with ScriptedRegistry(*script, ordered=True) as registry:
        SMALL.push(registry)


def test_a_registry_that_drops_every_body_ends_as_unavailable_and_no_session_stays_open() -> None:
    """5.6, 6.8."""
    lost = [SMALL.patch(NoAnswer.DROP, session=AGAIN, read=0), replace(status(0, AGAIN), path=AGAIN)]
    puts = [SMALL.put(NoAnswer.DROP), SMALL.absent()]
    halves = [patch_of(SMALL.content[:HALF], NoAnswer.DROP), status(0)]
    script = [PING, POST, *puts, status(0), *puts, CANCEL, POST_AGAIN, *lost, lost[0], CANCEL_AGAIN]
    script += [POST, *halves, *halves, halves[0], CANCEL]
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(RegistryUnavailable) as caught:
        SMALL.push(registry)
    assert f"PATCH {registry.host}{SESSION}" in caught.value.message
    assert "No form of upload was answered" in caught.value.message
    assert f"the proxy before it, {registry.host}" in caught.value.message


def test_an_upload_that_comes_further_each_time_keeps_its_form() -> None:
    """5.3: a bad connection is no refusal."""
    script = [PING, POST]
    for stored in (0, 200_000, 400_000):
        script += [replace(BIG.put(NoAnswer.DROP, read=600_000), request_headers={}), status(stored + 200_000)]
    with ScriptedRegistry(*script, BIG.put(start=600_000), ordered=True) as registry:
        BIG.push(registry, structs.replace(QUICK, tries=10))


def test_a_registry_that_is_not_reached_refuses_no_form() -> None:
    """5.6: a 503 is the registry's own answer."""
    lost = [SMALL.put(Answer(503)), SMALL.absent(), status(0)]
    with ScriptedRegistry(PING, POST, *lost, *lost, SMALL.put(), ordered=True) as registry:
        SMALL.push(registry)


@pytest.mark.parametrize("choice", ["put", "patch"])
def test_a_form_that_the_settings_want_is_kept_though_it_is_dropped(choice: str) -> None:
    body = SMALL.put(NoAnswer.DROP) if choice == "put" else SMALL.patch(NoAnswer.DROP)
    again = [SMALL.absent(), status(0)] if choice == "put" else [status(0)]
    script = (PING, POST, body, *again, body, *again, body, CANCEL)
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(RegistryUnavailable):
        SMALL.push(registry, settings=RegistrySettings(uploads=choice))  # type: ignore[arg-type]


def limited(*script: Exchange) -> list[Exchange]:
    """Return the script of a registry that takes no PUT, behind a limit of the size, up to the parts."""
    return patching(SMALL, SMALL.patch(Answer(413), read=0), status(0), *script)


@pytest.mark.parametrize("code", ["DIGEST_INVALID", "BLOB_UPLOAD_INVALID"])
def test_parts_that_are_not_joined_name_the_body_limit(code: str) -> None:
    """5.6, 6.8: Artifactory keeps the last part only."""
    script = limited(*in_halves()[:2], SMALL.put(errors(400, code), start=SMALL.size))
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(RequestRefused) as caught:
        SMALL.push(registry)
    assert f"refuses more than {HALF} bytes in one body" in caught.value.message
    assert f"limit of {registry.host} raised to {SMALL.size} bytes" in caught.value.message
    assert code in caught.value.message


def test_parts_that_are_not_joined_without_a_word_are_found() -> None:
    """5.3: GHCR stores other bytes than those of all parts."""
    with (
        ScriptedRegistry(*limited(*in_halves(stored=HALF)), ordered=True) as registry,
        pytest.raises(RequestRefused, match=f"stored {HALF} of {SMALL.size} bytes.*body limit"),
    ):
        SMALL.push(registry)


def test_parts_that_the_settings_want_and_that_are_not_joined_name_the_setting() -> None:
    """6.8."""
    script = (PING, POST, *in_halves()[:2], SMALL.put(errors(400, "DIGEST_INVALID"), start=SMALL.size))
    settings = RegistrySettings(uploads="parts", part_bytes=HALF)
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(RequestRefused, match='"auto"'):
        SMALL.push(registry, settings=settings)


def test_parts_that_a_bad_connection_led_to_and_that_are_not_joined_are_tried_again_later() -> None:
    """5.6: nothing says that there is a limit."""
    lost = [SMALL.patch(NoAnswer.DROP, read=0), status(0)]
    refused = SMALL.put(errors(400, "DIGEST_INVALID"), start=SMALL.size, session=AGAIN)
    script = patching(SMALL, *lost, lost[0], CANCEL, POST_AGAIN, *in_halves(AGAIN)[:2], refused)
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(RegistryUnavailable, match="not join"):
        SMALL.push(registry)


def test_a_resumed_patch_of_which_a_part_is_lost_is_sent_again_whole() -> None:
    """5.3: once, in a new session."""
    whole = Answer(202, {"Location": AGAIN, "Range": f"0-{SMALL.size - 1}"})
    script = patching(
        SMALL,
        SMALL.patch(taken(SMALL, 70_000)),
        status(70_000),
        SMALL.patch(taken(SMALL), 70_000),
        SMALL.put(STORED, start=SMALL.size),
        SMALL.present(SMALL.size - 70_000),
        POST_AGAIN,
        SMALL.patch(whole, session=AGAIN),
        SMALL.put(start=SMALL.size, session=AGAIN),
    )
    with ScriptedRegistry(*script, ordered=True) as registry:
        SMALL.push(registry, QUICK)


def test_a_blob_in_one_body_that_has_another_digest_there_is_a_mismatch() -> None:
    """5.3."""
    script = patching(SMALL, SMALL.patch(taken(SMALL)), SMALL.put(errors(400, "DIGEST_INVALID"), SMALL.size))
    with ScriptedRegistry(*script, ordered=True) as registry, pytest.raises(ContentMismatch):
        SMALL.push(registry)
