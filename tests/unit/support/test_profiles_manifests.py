from dataclasses import replace

import pytest

from tests.support import images
from tests.support.images import Image, Node
from tests.support.profiles import profiles
from tests.support.profiles.profile import ManifestRules, Profile
from tests.unit.support.profile_client import NAME, PlainClient, code, serving

ONE, TWO = images.image("linux/amd64"), images.image("linux/arm64")
INDEX = images.index([ONE, TWO])
OTHER = images.index([ONE])
HOUR, DAY = 3600, 86400


def put_blobs(client: PlainClient, *nodes: Image) -> None:
    for node in nodes:
        for content in node.blobs.values():
            assert client.put_blob(content).status_code == 201


def put_all(client: PlainClient, tag: str = "1") -> None:
    """Push the index as a client does: children by digest, then the index by tag."""
    put_blobs(client, ONE, TWO)
    for each in (ONE, TWO):
        assert client.put_manifest(each, each.digest).status_code == 201
    assert client.put_manifest(INDEX, tag).status_code == 201


def status(client: PlainClient, node: Node) -> int:
    return client.get(node.digest).status_code


@pytest.mark.parametrize(
    ("profile", "expected"),
    [(profiles.DISTRIBUTION_2_8, 200), (profiles.QUAY, 404), (profiles.ZOT, 404)],
    ids=lambda each: getattr(each, "name", ""),
)
def test_what_a_tag_held_once_it_has_moved(profile: Profile, expected: int) -> None:
    with serving(profile) as client:
        put_all(client)
        assert status(client, INDEX) == 200
        client.put_manifest(OTHER, "1")
        assert status(client, INDEX) == expected
        assert status(client, ONE) == 200


def test_on_quay_a_digest_lives_as_long_as_its_temporary_tag_or_a_tagged_parent() -> None:
    with serving(profiles.QUAY) as client:
        put_all(client)
        put_blobs(client, alone := images.image("linux/s390x"))
        client.put_manifest(alone, alone.digest)
        assert [status(client, each) for each in (ONE, alone)] == [200, 200]
        client.registry.clock.advance(HOUR)
        assert [status(client, each) for each in (ONE, alone)] == [200, 404]
        client.put_manifest(alone, alone.digest)
        assert status(client, alone) == 200


def test_on_quay_bytes_that_are_put_again_make_children_readable_until_they_are_collected() -> None:
    with serving(profiles.QUAY) as client:
        put_all(client)
        client.registry.clock.advance(HOUR)
        client.put_manifest(OTHER, "1")
        assert [status(client, each) for each in (INDEX, TWO)] == [404, 404]
        client.registry.clock.advance(13 * DAY)
        client.registry.store.collect()
        assert client.put_manifest(INDEX, "1").status_code == 201
        assert [status(client, each) for each in (INDEX, TWO)] == [200, 200]
        client.put_manifest(OTHER, "1")
        client.registry.clock.advance(14 * DAY)
        client.registry.store.collect()
        assert code(client.put_manifest(INDEX, "1")) == (400, "MANIFEST_INVALID")
        assert set(TWO.blobs) & set(client.registry.store.blobs) == set()
        assert client.registry.lacks(NAME, "1") == []


def test_on_quay_a_short_temporary_tag_and_no_time_machine_lose_a_child_in_mid_push() -> None:
    rules = replace(profiles.QUAY.manifests, temporary_tag_seconds=4, time_machine_seconds=0)
    with serving(replace(profiles.QUAY, manifests=rules)) as client:
        put_blobs(client, ONE, TWO)
        client.put_manifest(ONE, ONE.digest)
        client.registry.clock.advance(4)
        client.put_manifest(TWO, TWO.digest)
        client.registry.store.collect()
        refused = client.put_manifest(INDEX, "1")
        assert code(refused) == (400, "MANIFEST_INVALID")
        message = f"Could not find child manifest with digest {ONE.digest}"
        assert refused.json()["errors"][0]["detail"] == {"message": message}


def test_on_quay_a_deleted_tag_has_expired() -> None:
    with serving(profiles.QUAY) as client:
        put_all(client)
        assert client.send("DELETE", "/manifests/1").status_code == 202
        assert code(client.get("1")) == (404, "TAG_EXPIRED")
        assert code(client.get("2")) == (404, "MANIFEST_UNKNOWN")
        client.put_manifest(INDEX, "1")
        assert client.get("1").status_code == 200


@pytest.mark.parametrize(
    ("profile", "node", "reference", "expected"),
    [
        (profiles.QUAY, ONE, "1", {"message": "Could not load config blob for manifest"}),
        (profiles.QUAY, ONE, ONE.digest, {}),
        (profiles.QUAY, INDEX, INDEX.digest, {}),
    ],
)
def test_quays_words_for_a_missing_part(profile: Profile, node: Node, reference: str, expected: object) -> None:
    with serving(profile) as client:
        refused = client.put_manifest(node, reference)
        assert refused.status_code == 400
        assert refused.json()["errors"] == [
            {"code": "MANIFEST_INVALID", "message": "manifest invalid", "detail": expected}
        ]


def test_other_registries_name_what_is_missing() -> None:
    with serving(profiles.DISTRIBUTION_2_8) as client:
        refused = client.put_manifest(INDEX, "1")
        assert code(refused) == (400, "MANIFEST_BLOB_UNKNOWN")
        assert [each["detail"] for each in refused.json()["errors"]] == [ONE.digest, TWO.digest]
        assert code(client.put_manifest(ONE, ONE.digest)) == (400, "MANIFEST_BLOB_UNKNOWN")
        assert client.registry.tags(NAME) == {}


@pytest.mark.parametrize(("sparse", "status_code"), [(None, 400), (False, 400), (True, 201)])
def test_sparse_indexes(sparse: bool | None, status_code: int) -> None:
    with serving(replace(profiles.STRICT, manifests=ManifestRules(sparse_indexes=sparse))) as client:
        assert client.put_manifest(INDEX, "1").status_code == status_code
        said = client.send("GET", f"{client.registry.url}/v2/").headers.get("X-Sparse-Manifest-Support")
        assert said == (None if sparse is None else str(sparse).lower())


def test_quay_takes_no_docker_list_of_oci_images_and_says_so_in_the_detail_only() -> None:
    with serving(profiles.QUAY) as client:
        put_blobs(client, ONE)
        client.put_manifest(ONE, ONE.digest)
        refused = client.put_manifest(images.index([ONE], docker=True), "1")
        (error,) = refused.json()["errors"]
        assert (refused.status_code, error["code"], error["message"]) == (400, "MANIFEST_INVALID", "manifest invalid")
        assert "schema" in error["detail"]["message"]


def test_quay_takes_no_docker_image_without_history() -> None:
    with serving(profiles.QUAY) as client:
        without = images.image(docker=True)
        put_blobs(client, without)
        assert code(client.put_manifest(without, "1")) == (400, "MANIFEST_INVALID")
        having = images.image(docker=True, config={"history": [{}]})
        put_blobs(client, having)
        assert client.put_manifest(having, "1").status_code == 201


def test_the_size_of_a_manifest_is_bounded() -> None:
    large = images.index([], annotations={"a": "x" * (4 << 20)})
    with serving(profiles.STRICT) as client:
        assert client.put_manifest(large, "1").status_code == 413
    with serving(profiles.DISTRIBUTION_2_8) as client:
        assert code(client.put_manifest(large, "1")) == (400, "MANIFEST_INVALID")


def test_an_index_for_a_client_that_does_not_accept_it() -> None:
    with serving(profiles.QUAY) as client:
        put_all(client)
        converted = client.get("1", accept=images.OCI_MANIFEST)
        assert (converted.status_code, converted.json()["schemaVersion"]) == (200, 1)
        assert converted.headers["Docker-Content-Digest"] == images.digest_of(converted.content) != INDEX.digest
    with serving(profiles.DISTRIBUTION_2_8) as client:
        put_all(client)
        assert client.get("1", accept="*/*").status_code == 404
        docker = images.image(docker=True)
        put_blobs(client, docker)
        client.put_manifest(docker, docker.digest)
        client.put_manifest(images.index([docker], docker=True), "2")
        assert client.get("2", accept="*/*").content == docker.manifest
    with serving(profiles.ZOT) as client:
        put_all(client)
        assert client.get("1", accept=images.OCI_MANIFEST).content == INDEX.manifest


def test_several_tags_in_one_put() -> None:
    for profile, tags in ((profiles.ZOT, {"a", "b"}), (profiles.STRICT, set[str]())):
        with serving(profile) as client:
            put_blobs(client, ONE)
            answer = client.send(
                "PUT",
                f"/manifests/{ONE.digest}?tag=a&tag=b",
                data=ONE.manifest,
                headers={"Content-Type": ONE.media_type},
            )
            assert answer.status_code == 201
            assert answer.raw.headers.getlist("OCI-Tag") == sorted(tags)
            assert client.registry.tags(NAME) == dict.fromkeys(tags, ONE.digest)


def test_gitlab_takes_the_name_of_a_fallback_tag_for_the_digest() -> None:
    with serving(profiles.GITLAB) as client:
        put_all(client)
        assert client.get(INDEX.digest.replace(":", "-")).content == INDEX.manifest
    with serving(profiles.STRICT) as client:
        put_all(client)
        assert client.get(INDEX.digest.replace(":", "-")).status_code == 404


def test_a_content_type_that_contradicts_the_manifest_is_refused() -> None:
    with serving(profiles.STRICT) as client:
        refused = client.put_manifest(ONE, "1", **{"Content-Type": images.OCI_INDEX})
        assert code(refused) == (400, "MANIFEST_INVALID")
        assert "mediaType" in client.registry.violations.pop()


def test_ecr_refuses_a_manifest_with_a_subject() -> None:
    signature = images.artifact(b"signed", subject=ONE)
    with serving(profiles.small(profiles.ECR)) as client:
        client.registry.put(NAME, ONE, "1")
        put_blobs(client, signature)
        assert client.put_manifest(signature, signature.digest).status_code == 405


def test_referrers_with_an_api_and_without_one() -> None:
    signatures = [images.artifact(f"{number}".encode(), "a/signed", subject=ONE) for number in range(3)]
    note = images.artifact(b"note", "a/note", subject=ONE)
    rules = replace(profiles.HARBOR.referrers, page_limit=2)
    with serving(replace(profiles.HARBOR, referrers=rules)) as client:
        client.registry.put(NAME, ONE, "1")
        put_blobs(client, *signatures, note)
        for each in (*signatures, note):
            assert client.put_manifest(each, each.digest).headers["OCI-Subject"] == ONE.digest
        page = client.send("GET", f"/referrers/{ONE.digest}?artifactType=a/signed")
        assert page.headers["OCI-Filters-Applied"] == "artifactType"
        following = page.headers["Link"].partition(">")[0].removeprefix("<")
        rest = client.send("GET", f"{client.registry.url}{following}")
        found = [each["digest"] for answer in (page, rest) for each in answer.json()["manifests"]]
        assert sorted(found) == sorted(each.digest for each in signatures)
        assert "Link" not in rest.headers
    with serving(profiles.GHCR) as client:
        client.registry.put(NAME, ONE, "1")
        put_blobs(client, note)
        assert "OCI-Subject" not in client.put_manifest(note, note.digest).headers
        assert client.send("GET", f"/referrers/{ONE.digest}").status_code == 404


def test_quay_lists_referrers_of_what_it_has_and_does_not_name_their_subject() -> None:
    note, other = images.artifact(b"note", "a/note", subject=ONE), images.image("linux/s390x")
    with serving(replace(profiles.STRICT, referrers=profiles.QUAY.referrers)) as client:
        client.registry.put(NAME, ONE, "1")
        put_blobs(client, note)
        assert "OCI-Subject" not in client.put_manifest(note, note.digest).headers
        found = client.send("GET", f"/referrers/{ONE.digest}").json()["manifests"]
        assert [each["digest"] for each in found] == [note.digest]
        refused = client.send("GET", f"/referrers/{other.digest}")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
