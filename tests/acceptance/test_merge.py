"""BEHAVIOUR sections 3 and 4 on two real registries: copied or merged, and what a merge holds to the byte."""

import json
import logging
from typing import Any

import pytest

from tasks.oci.platform import Platform
from tasks.registry.settings import Credentials, RegistrySettings
from tasks.transfer.target import Target
from tests.acceptance.conftest import World, actions
from tests.conftest import MakeRegistry
from tests.support import fixtures, images
from tests.support.images import Image, Index, attestation, entry, image, index, layer
from tests.support.registries import BasicAuth, TokenAuth
from tests.support.scripted import Answer, Exchange, Received, ScriptedRegistry
from tests.support.stored import Stored, upload
from tests.support.token_server import TokenServer

INDEXES = (
    "01-", "02-", "03-", "04-", "05-", "16-", "17-", "18-", "19-", "20-", "21-", "22-", "26-", "27-", "39-", "43-",
    "45-", "46-", "48-", "50-", "51-", "53-",
)  # fmt: skip
# Every index as the source, and as the destination of another one.
PAIRS = [(number, 1) for number in range(len(INDEXES))] + [(number, 5) for number in range(1, len(INDEXES), 4)]
USER = Credentials("robot", "password of the robot")


def made(platform: Any, seed: str = "", *, docker: bool = False) -> Image:
    return image(platform, [layer(f"merge {seed} {platform}", 300)], docker=docker)


def written(world: World, tag: str = "1") -> list[str]:
    """Return the digests of the index that a tag at B holds."""
    return [each["digest"] for each in world.entries(tag)]


def puts(world: World) -> list[str]:
    """Return the references of all manifests that were put into the destination of this test, in their order."""
    prefix = f"/v2/{world.destination}/manifests/"
    return [
        request.path.removeprefix(prefix)
        for request in world.b.requests()
        if request.method == "PUT" and request.path.startswith(prefix)
    ]


def platform_of(said: dict[str, Any]) -> tuple[str, ...] | None:
    """Return what an entry is compared by, as far as the real indexes need it."""
    platform = said.get("platform", {})
    os, architecture, variant = (platform.get(key, "") for key in ("os", "architecture", "variant"))
    if not os or (os, architecture) == ("unknown", "unknown"):
        return None
    implied = {("arm64", "v8"): "", ("arm", ""): "v7"}.get((architecture, variant), variant)
    version = ".".join(platform.get("os.version", "").split(".")[:3])
    return os, architecture, implied, version, *sorted(platform.get("os.features", []))


def expected(source: Index, destination: Index) -> list[dict[str, Any]] | None:
    """Return the entries of the merge, None where the source replaces all platforms."""
    mine: list[dict[str, Any]] = source.document["manifests"]
    theirs: list[dict[str, Any]] = destination.document["manifests"]
    taken = {platform_of(each) for each in mine}
    kept = [each for each in theirs if platform_of(each) and platform_of(each) not in taken]
    if not kept:
        return None
    present = {each["digest"] for each in kept}

    def stays(said: dict[str, Any]) -> bool:
        if platform_of(said):
            return said in kept
        subject = said.get("annotations", {}).get(images.REFERENCE_DIGEST)
        alone = said["digest"] not in {each["digest"] for each in mine}
        return alone and (subject is None or subject in present)

    return mine + [each for each in theirs if stays(each)]


@pytest.mark.parametrize(("number", "offset"), PAIRS, ids=[f"{INDEXES[number]}{offset}" for number, offset in PAIRS])
def test_indexes_shaped_as_real_ones_are_copied_or_merged_to_the_letter(world: World, number: int, offset: int) -> None:
    """Rules 3.1, 3.2, 3.3, 4.1, 4.3, 4.4, 4.5, 4.6: with their attestations, variants and unknown fields."""
    source = images.like(fixtures.load(INDEXES[number]), "source")
    old = images.like(fixtures.load(INDEXES[(number + offset) % len(INDEXES)]), "destination")
    world.put_b(old)
    reference = world.put_a(source)
    tag = world.push_one(reference)
    wanted = expected(source, old)
    if wanted is None:
        assert (tag.action, tag.new_digest, tag.kept_platforms) == ("copied", source.digest, [])
        assert world.stored.manifest(world.destination, "1") == (200, source.media_type, source.manifest)
    else:
        _, media_type, content = world.stored.manifest(world.destination, "1")
        top = {key: value for key, value in source.document.items() if key not in {"manifests", "mediaType"}}
        assert tag.action == "merged"
        assert json.loads(content) == top | {"mediaType": media_type, "manifests": wanted}
        docker = source.media_type == images.DOCKER_LIST and {each["mediaType"] for each in wanted} == {
            images.DOCKER_MANIFEST
        }
        assert media_type == (images.DOCKER_LIST if docker else images.OCI_INDEX)
    world.stored.holds(world.destination, "1")
    again = world.push_one(reference)
    assert (again.action, again.new_digest) == ("unchanged", tag.new_digest)


def test_several_entries_of_one_platform_stay(world: World) -> None:
    """Rule 4.1: gzip and zstd of the source replace what was there, those of the destination stay together."""
    gzip, zstd = made("linux/amd64", "gzip"), made("linux/amd64", "zstd")
    noted = {"io.github.containers.compression.zstd": "true"}
    old, kept_gzip, kept_zstd = made("linux/amd64", "old"), made("linux/386", "gzip"), made("linux/386", "zstd")
    world.put_b(index([kept_gzip, old, entry(kept_zstd, annotations=noted)]))
    tag = world.push_one(world.put_a(index([gzip, entry(zstd, annotations=noted)])))
    assert written(world) == [gzip.digest, zstd.digest, kept_gzip.digest, kept_zstd.digest]
    assert [each.get("annotations") for each in world.entries()] == [None, noted, None, noted]
    assert tag.kept_platforms == ["linux/386"]


def test_entries_without_platform_are_kept_by_digest(world: World) -> None:
    """Rule 4.3: referrers go and stay with the subject that their manifests name."""
    old, kept, new = made("linux/amd64", "old"), made("linux/386"), made("linux/amd64", "new")
    of_old, of_kept = images.artifact(b"of old", subject=old), images.artifact(b"of kept", subject=kept)
    alone, shared = images.artifact(b"alone"), images.artifact(b"shared")
    world.put_b(index([of_old, of_kept, old, kept, alone, shared]))
    reference = world.put_a(index([shared, new]))
    world.push_one(reference)
    assert written(world) == [each.digest for each in (shared, new, of_kept, kept, alone)]
    assert world.push_one(reference).action == "unchanged"


def test_one_artifact_that_both_list_does_not_flip_a_repeated_push(world: World) -> None:
    """Rule 4.6: though its subject was the image that is replaced."""
    old, kept, new = made("linux/amd64", "old"), made("linux/386"), made("linux/amd64", "new")
    of_old = images.artifact(b"of old", subject=old)
    world.put_b(index([old, kept, of_old]))
    reference = world.put_a(index([new, of_old]))
    first = world.push_one(reference)
    assert written(world) == [each.digest for each in (new, of_old, kept)]
    again = world.push_one(reference)
    assert (again.action, again.new_digest) == ("unchanged", first.new_digest)


def test_windows_versions_are_exact_where_the_target_says_so(world: World) -> None:
    """Rule 4.2: a setting makes it exact."""

    def windows(version: str) -> Image:
        return made({"architecture": "amd64", "os": "windows", "os.version": version}, docker=True)

    old, new = windows("10.0.17763.1"), windows("10.0.17763.5329")
    world.put_b(index([old], docker=True))
    world.targets[world.name] = Target(host=world.b.host, exact_os_version=True)
    item = {"source": world.put_a(index([new], docker=True)), "destinations": {world.destination: ["1"]}}
    (tag,) = world.push(item, target=world.name).items[0].tags
    assert (tag.action, tag.kept_platforms) == ("merged", ["windows/amd64:10.0.17763.1"])
    assert written(world) == [new.digest, old.digest]


def test_a_target_may_name_the_eligible_platforms(world: World) -> None:
    """Rule 4.7: the item's word counts before the target's; the rest stays as at B."""
    new = {each: made(f"linux/{each}", "new") for each in ("amd64", "arm64", "s390x")}
    old = {each: made(f"linux/{each}", "old") for each in ("amd64", "arm64")}
    world.targets[world.name] = Target(host=world.b.host, platforms=(Platform("linux", "aarch64"),))
    world.put_b(index(list(old.values())))
    item = {"source": world.put_a(index(list(new.values()))), "destinations": {world.destination: ["1", "2"]}}
    one, two = world.push(item, target=world.name).items[0].tags
    assert (one.action, one.kept_platforms, two.action) == ("merged", ["linux/amd64"], "copied")
    assert written(world) == [new["arm64"].digest, old["amd64"].digest]
    assert written(world, "2") == [new["arm64"].digest]
    own = item | {"platforms": ["linux/s390x"], "destinations": {world.destination: ["1"]}}
    assert actions(world.push(own, target=world.name)) == ["merged"]
    assert written(world) == [new["s390x"].digest, new["arm64"].digest, old["amd64"].digest]
    world.stored.holds(world.destination, "1")


def test_source_images_are_copied_whole_whatever_platforms_the_target_takes(world: World) -> None:
    """Rules 2.2 and 4.7."""
    world.targets[world.name] = Target(host=world.b.host, platforms=(Platform("linux", "s390x"),))
    source = images.source_image()
    item = {"source": world.put_a(source), "destinations": {world.destination: ["1"]}, "kind": "source"}
    assert actions(world.push(item, target=world.name)) == ["copied"]
    assert world.stored.digest(world.destination, "1") == source.digest


@pytest.mark.parametrize("tag", ["1", "x" * 128])
def test_a_merged_index_gets_a_tag_of_its_own_before_the_floating_one_moves(world: World, tag: str) -> None:
    """Rule 4.8: valid, at most 128 characters, the same on a repeat."""
    world.put_b(index([made("linux/386")]), tag)
    reference = world.put_a(index([made("linux/amd64")]))
    (first,) = world.push(world.item(reference, tag)).items[0].tags
    protective = first.protective_tag
    assert protective is not None
    assert len(protective) <= 128
    assert first.new_digest is not None
    assert puts(world)[-2:] == [protective, tag]
    assert world.stored.digest(world.destination, protective) == world.stored.digest(world.destination, tag)
    assert world.stored.tags(world.destination) == sorted([tag, protective])
    # The tag is put back by someone, and merged again: the protective tag is there already.
    world.put_b(index([made("linux/386")]), tag)
    before = len(puts(world))
    (again,) = world.push(world.item(reference, tag)).items[0].tags
    assert (again.new_digest, again.protective_tag) == (first.new_digest, protective)
    assert protective not in puts(world)[before:]
    assert world.stored.tags(world.destination) == sorted([tag, protective])


def test_each_distinct_merge_gets_a_tag_of_its_own(world: World) -> None:
    """Rule 4.8."""
    world.put_b(index([made("linux/386")]), "1")
    world.put_b(index([made("linux/s390x")]), "2")
    report = world.push(world.item(world.put_a(index([made("linux/amd64")])), "1", "2", "3"))
    protective = [tag.protective_tag for tag in report.items[0].tags]
    assert protective[2] is None
    assert len(set(protective)) == 3
    assert world.stored.tags(world.destination) == sorted(["1", "2", "3", *filter(None, protective)])


def test_a_child_that_b_lost_is_dropped_where_the_target_says_so(world: World) -> None:
    """Rule 4.9: with what refers to it; never a dangling index."""
    lost, kept, new = made("linux/s390x", world.name), made("linux/386"), made("linux/amd64")
    of_lost = attestation(lost)
    world.put_b(index([lost, of_lost, kept]))
    _delete(world, lost.digest)
    world.targets[world.name] = Target(host=world.b.host, missing_children="drop")
    item = {"source": world.put_a(index([new])), "destinations": {world.destination: ["1"]}}
    (tag,) = world.push(item, target=world.name).items[0].tags
    assert (tag.action, tag.kept_platforms) == ("merged", ["linux/386"])
    assert written(world) == [new.digest, kept.digest]
    world.stored.holds(world.destination, "1")


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
    old = made("linux/s390x")
    world.put_b(old)
    with caplog.at_level(logging.WARNING):
        tag = world.push_one(world.put_a(index([made("linux/amd64")])))
    assert (tag.action, tag.old_digest) == ("copied", old.digest)
    assert any(f"{tag.reference}: A single manifest, {old.digest}, is overwritten." in text for text in caplog.messages)


def test_a_merge_that_is_repeated_after_the_source_moved_replaces_only_its_platforms(world: World) -> None:
    """Rules 4.1 and 7.1: three pushes of three builds, one tag."""
    first, second = index([made("linux/amd64", "1")]), index([made("linux/arm64", "1"), made("linux/386", "1")])
    third = index([made("linux/amd64", "2"), made("linux/386", "2")])
    for number, source in enumerate((first, second, third)):
        world.push(world.item(world.put_a(source, str(number))))
    assert written(world) == [
        *(each["digest"] for each in third.document["manifests"]),
        second.document["manifests"][0]["digest"],
    ]
    world.stored.holds(world.destination, "1")


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
    ) as registry:
        tag = world.push_one(f"{registry.host}/app:1")
    assert (tag.action, tag.old_digest, tag.kept_platforms) == ("merged", written_meanwhile.digest, ["linux/s390x"])
    assert written(world) == [new.digest, kept.digest]
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


@pytest.mark.parametrize("granted", [(), ("pull",)], ids=["nothing", "pull"])
def test_who_may_not_push_gets_an_error_and_b_stays_as_it_was(
    world: World, make_registry: MakeRegistry, granted: tuple[str, ...]
) -> None:
    """Rule 3.4: still refused is an error."""

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
        assert (report.state, actions(report), codes) == ("failed", ["failed"] * 2, {"authentication_refused"})
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


def _delete(world: World, digest: str) -> None:
    import requests

    requests.delete(f"{world.b.url}/v2/{world.destination}/manifests/{digest}", timeout=10).raise_for_status()
