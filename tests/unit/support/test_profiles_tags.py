import pytest

from tests.support import images
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile
from tests.unit.support.profile_client import NAME, PlainClient, code, serving

ONE, TWO = images.image("linux/amd64"), images.image("linux/arm64")


def listed(client: PlainClient, query: str = "") -> tuple[list[str], str | None]:
    answer = client.send("GET", f"/tags/list{query}")
    return answer.json()["tags"], answer.headers.get("Link")


def test_quay_lists_at_most_a_hundred_tags() -> None:
    with serving(profiles.QUAY) as client:
        names = [f"t{number:03}" for number in range(150)]
        for each in names:
            client.registry.put(NAME, ONE, each)
        first, link = listed(client, "?n=500")
        assert (len(first), link) == (100, f'</v2/{NAME}/tags/list?n=100&last=t099>; rel="next"')
        assert link is not None
        rest, end = listed(client, f"?{link.partition('?')[2].partition('>')[0]}")
        assert (first + rest, end) == (names, None)


def test_distribution_ignores_n() -> None:
    for profile, count in ((profiles.DISTRIBUTION_2_8, 5), (profiles.STRICT, 2)):
        with serving(profile) as client:
            for number in range(5):
                client.registry.put(NAME, ONE, str(number))
            assert len(listed(client, "?n=2")[0]) == count


@pytest.mark.parametrize(
    ("profile", "by_tag", "by_digest"),
    [
        (profiles.QUAY, 202, 202),
        (profiles.DISTRIBUTION_2_8, 400, 202),
        (profiles.DISTRIBUTION_3_1, 202, 202),
        (profiles.DOCKER_HUB, 405, 405),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_deleting(profile: Profile, by_tag: int, by_digest: int) -> None:
    with serving(profile) as client:
        for tag in "ab":
            client.registry.put(NAME, ONE, tag)
        client.registry.put(NAME, TWO, "c")
        assert client.send("DELETE", "/manifests/c").status_code == by_tag
        assert ("c" in client.registry.tags(NAME)) is (by_tag != 202)
        assert client.send("DELETE", f"/manifests/{ONE.digest}").status_code == by_digest
        assert set(client.registry.tags(NAME)) & {"a", "b"} == (set() if by_digest == 202 else {"a", "b"})


@pytest.mark.parametrize(
    ("profile", "status", "words"),
    [
        (profiles.QUAY, 409, "TAG_IMMUTABLE"),
        (profiles.HARBOR, 412, "PRECONDITION"),
        (profiles.small(profiles.ECR), 400, "ImageTagAlreadyExistsException"),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_immutable_tags(profile: Profile, status: int, words: str) -> None:
    with serving(profile) as client:
        registry = client.registry
        registry.immutable = ("v*",)
        registry.put(NAME, ONE, "v1")
        registry.put(NAME, TWO, "latest")
        assert code(client.put_manifest(TWO, "v1")) == (status, words)
        assert registry.tags(NAME)["v1"] == ONE.digest
        assert client.put_manifest(ONE, "v1").status_code == 201
        assert client.put_manifest(TWO, "v2").status_code == 201
        assert client.put_manifest(ONE, "latest").status_code == 201
        assert client.send("DELETE", "/manifests/v1").status_code == status


@pytest.mark.parametrize(
    ("profile", "at_upload", "words"),
    [
        (profiles.QUAY, 403, "Quota has been exceeded on namespace"),
        (profiles.HARBOR, 202, "will exceed the configured upper limit of project team"),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_a_quota(profile: Profile, at_upload: int, words: str) -> None:
    with serving(profile) as client:
        for content in ONE.blobs.values():
            assert client.put_blob(content).status_code == 201
        client.registry.quota_bytes = 1000
        assert client.start().status_code == at_upload
        refused = client.put_manifest(ONE, "1")
        assert code(refused) == (403, "DENIED")
        assert words in refused.json()["errors"][0]["message"]
        client.registry.quota_bytes = 1 << 20
        assert client.put_manifest(ONE, "1").status_code == 201


@pytest.mark.parametrize(
    ("profile", "status", "words"),
    [(profiles.QUAY, 405, "System is currently read-only"), (profiles.STRICT, 503, "read-only")],
    ids=lambda each: getattr(each, "name", ""),
)
def test_maintenance(profile: Profile, status: int, words: str) -> None:
    with serving(profile) as client:
        # The token server of Quay makes no repository meanwhile: both that the client asks for are there.
        for name in (NAME, "team/other"):
            client.registry.put(name, ONE, "1")
        with client.registry.maintenance():
            for refused in (client.start(), client.put_manifest(ONE, "2"), client.send("DELETE", "/manifests/1")):
                assert refused.status_code == status
                assert words in refused.json()["errors"][0]["message"]
            assert client.get("1").status_code == 200
        assert client.put_manifest(ONE, "2").status_code == 201


def test_a_store_that_is_full_for_one_namespace_is_not_for_another() -> None:
    with serving(profiles.STRICT) as client:
        client.registry.put(NAME, ONE, "1")
        client.registry.quota_bytes = 1000
        assert client.start().status_code == 403
        free = PlainClient(client.registry, "free/app")
        assert free.start().status_code == 202
        client.registry.quota_bytes = 0
        assert free.start().status_code == 403
