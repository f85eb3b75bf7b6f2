"""BEHAVIOUR section 3 on two real registries: what of the destination counts, when, and who may read it."""

import logging
from typing import Any

import pytest

from tasks.registry.settings import Credentials, RegistrySettings
from tests.acceptance.conftest import World, actions
from tests.conftest import MakeRegistry
from tests.support.images import Image, image, index, layer
from tests.support.registries import BasicAuth, TokenAuth
from tests.support.scripted import Answer, Exchange, Received, ScriptedRegistry
from tests.support.stored import Stored, upload
from tests.support.token_server import TokenServer

USER = Credentials("robot", "password of the robot")


def made(platform: Any, seed: str = "", *, docker: bool = False) -> Image:
    return image(platform, [layer(f"merge {seed} {platform}", 300)], docker=docker)


@pytest.mark.parametrize("docker", [True, False])
def test_an_empty_index_at_b_is_replaced(world: World, docker: bool) -> None:
    """Rule 3.1: every platform at B, none, is also in the source."""
    world.put_b(index([], docker=docker))
    source = index([made("linux/amd64")])
    tag = world.push_one(world.put_a(source))
    assert (tag.action, tag.new_digest) == ("copied", source.digest)


def test_a_single_manifest_is_overwritten_with_a_warning_and_its_digest_in_the_report(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Rule 3.2."""
    old = made("linux/amd64")
    world.put_b(old)
    with caplog.at_level(logging.WARNING):
        tag = world.push_one(world.put_a(index([image("linux/amd64", [layer("new", 20)])])))
    assert (tag.action, tag.old_digest) == ("copied", old.digest)
    assert [warning.code for warning in tag.warnings] == ["manifest_overwritten"]
    assert any(f"{tag.reference}: A single manifest, {old.digest}, is overwritten." in text for text in caplog.messages)


@pytest.mark.parametrize("first", ["absent", "another index", "a manifest"])
def test_what_is_there_when_the_tag_moves_is_what_counts(world: World, first: str) -> None:
    """Rule 3.5: someone else writes the tag after the plan, while the source's only layer is being read."""
    kept, new = made("linux/s390x"), made("linux/amd64", world.name)
    written_meanwhile = index([kept, made("linux/amd64", "old")])
    if first != "absent":
        world.put_b(index([made("linux/386")]) if first == "another index" else made("linux/386"))

    def read_slowly(_: Received) -> Answer:
        world.put_b(written_meanwhile)
        return Answer(body=content)

    source = index([new])
    (config, _), (blob, content) = sorted(new.blobs.items(), key=lambda pair: len(pair[1]))
    manifests = ((node, reference) for node, reference in ((source, "1"), (new, new.digest)))
    with ScriptedRegistry(
        Exchange("GET", "/v2/"),
        *(
            Exchange(
                "GET",
                f"/v2/app/manifests/{reference}",
                Answer(headers={"Content-Type": node.media_type}, body=node.manifest),
            )
            for node, reference in manifests
        ),
        Exchange("GET", f"/v2/app/blobs/{config}", Answer(body=new.blobs[config])),
        Exchange("GET", f"/v2/app/blobs/{blob}", read_slowly),
        Exchange("GET", "/v2/app/tags/list", Answer(body=b'{"name": "app", "tags": ["1"]}')),
        Exchange("GET", f"/v2/app/referrers/{source.digest}", Answer(404)),
    ) as registry:
        tag = world.push_one(f"{registry.host}/app:1")
    assert (tag.action, tag.old_digest, tag.kept_platforms) == ("merged", written_meanwhile.digest, ["linux/s390x"])
    assert world.digests() == [new.digest, kept.digest]
    world.stored.holds(world.destination, "1")


def quays_policy(user: str | None, repository: str, asked: frozenset[str]) -> frozenset[str]:
    """Grant as Quay does: nothing on a repository that does not exist, unless one asks to push, and so creates it."""
    del repository
    return asked if user is not None and "push" in asked else frozenset()


def test_a_repository_that_only_those_who_push_may_read_is_created(world: World, make_registry: MakeRegistry) -> None:
    """Rule 3.4: 401 is never taken for absent; a token with pull and push is asked for, and the tag read again."""
    with TokenServer({USER.username: USER.password}, policy=quays_policy) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        world.registries[registry.host] = RegistrySettings(credentials=USER)
        source = index([made("linux/amd64"), made("linux/arm64")])
        item = {"source": world.put_a(source), "destinations": {f"{registry.host}/{world.destination}": ["1"]}}
        assert actions(world.push(item)) == ["copied"]
        stored = Stored(registry.host, auth=tokens.bearer(USER.username, world.destination))
        stored.holds(world.destination, "1")
        scopes = [scope for scope in tokens.scopes if scope.startswith(f"repository:{world.destination}:")]
        assert scopes[0] == f"repository:{world.destination}:pull"
        assert f"repository:{world.destination}:pull,push" in scopes


def test_what_may_be_read_only_with_push_is_merged_with(world: World, make_registry: MakeRegistry) -> None:
    """Rule 3.4: the tag is there, behind a 401; to take it for absent would lose a platform."""
    with TokenServer({USER.username: USER.password}, policy=quays_policy) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        world.registries[registry.host] = RegistrySettings(credentials=USER)
        bearer = tokens.bearer(USER.username, world.destination)
        kept, new = made("linux/s390x"), made("linux/amd64")
        upload(registry.host, world.destination, index([kept]), "1", auth=bearer)
        item = {
            "source": world.put_a(index([new])),
            "destinations": {f"{registry.host}/{world.destination}": ["1"]},
        }
        (tag,) = world.push(item).items[0].tags
        assert (tag.action, tag.kept_platforms) == ("merged", ["linux/s390x"])
        Stored(registry.host, auth=bearer).holds(world.destination, "1")


@pytest.mark.parametrize(
    ("granted", "code"), [((), "namespace_missing"), (("pull",), "right_missing")], ids=["nothing", "pull"]
)
def test_who_may_not_push_gets_an_error_and_b_stays_as_it_was(
    world: World, make_registry: MakeRegistry, granted: tuple[str, ...], code: str
) -> None:
    """Rules 3.4 and 6.8: still refused is an error, which says what the token is good for."""

    def policy(user: str | None, repository: str, asked: frozenset[str]) -> frozenset[str]:
        return asked if user == "owner" else asked & frozenset(granted)

    with TokenServer({USER.username: USER.password, "owner": "x"}, policy=policy) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        world.registries[registry.host] = RegistrySettings(credentials=USER)
        owner = tokens.bearer("owner", world.destination)
        old = index([made("linux/s390x")])
        upload(registry.host, world.destination, old, "1", auth=owner)
        item = {
            "source": world.put_a(index([made("linux/amd64")])),
            "destinations": {f"{registry.host}/{world.destination}": ["1", "2"]},
        }
        report = world.push(item)
        codes = {tag.error.code for tag in report.items[0].tags if tag.error}
        assert (report.state, actions(report), codes) == ("failed", ["failed"] * 2, {code})
        stored = Stored(registry.host, auth=owner)
        assert stored.tags(world.destination) == ["1"]
        assert stored.digest(world.destination, "1") == old.digest


def test_a_wrong_password_is_an_error_and_b_stays_as_it_was(world: World, make_registry: MakeRegistry) -> None:
    """Rules 3.4 and 6.7: the error does not show it."""
    registry = make_registry(auth=BasicAuth({USER.username: USER.password}))
    world.registries[registry.host] = RegistrySettings(credentials=Credentials(USER.username, "wr0ng s3cret"))
    item = {
        "source": world.put_a(index([made("linux/amd64")])),
        "destinations": {f"{registry.host}/{world.destination}": ["1"]},
    }
    report = world.push(item)
    (tag,) = report.items[0].tags
    assert tag.error is not None
    assert tag.error.code == "authentication_refused"
    assert "s3cret" not in repr(report)
    assert Stored(registry.host, auth=(USER.username, USER.password)).tags(world.destination) == []


@pytest.mark.parametrize(
    ("status", "code"), [(403, "authentication_refused"), (500, "registry_unavailable"), (429, "rate_limited")]
)
def test_a_destination_that_cannot_be_read_is_never_written(world: World, status: int, code: str) -> None:
    """Rule 3.4: 5xx and 429 are retried, then an error; the script has no write."""
    with ScriptedRegistry(
        Exchange("GET", "/v2/", times=None),
        Exchange("HEAD", f"/v2/{world.destination}/manifests/1", Answer(status), times=None),
    ) as registry:
        item = {
            "source": world.put_a(index([made("linux/amd64")])),
            "destinations": {f"{registry.host}/{world.destination}": ["1"]},
        }
        (tag,) = world.push(item).items[0].tags
        heads = sum(method == "HEAD" for method, _ in registry.requests())
    assert (tag.action, tag.error and tag.error.code) == ("failed", code)
    assert heads >= (1 if status == 403 else 2)
