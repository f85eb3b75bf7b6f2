"""What Quay refuses or stumbles over, and what a push makes of it (BEHAVIOUR 4.5, 6.8, 8.3)."""

import pytest

from tests.acceptance.profiles.cases import over
from tests.acceptance.profiles.conftest import Scene
from tests.support import images
from tests.support.profiles import profiles
from tests.support.profiles.answers import error
from tests.support.scripted import Answer

QUAY = [profiles.QUAY]


@over(QUAY)
def test_a_docker_list_of_oci_images_is_refused_in_the_words_of_the_detail(scene: Scene) -> None:
    """Its `errors[].message` says nothing but "manifest invalid"."""
    tag = scene.push_one(scene.offer(images.index([scene.image("linux/amd64")], docker=True)))
    assert tag.error is not None
    assert (tag.action, tag.error.code, tag.error.side) == ("failed", "request_refused", "destination")
    assert "schema" in tag.error.message


@over(QUAY)
def test_a_merge_into_a_docker_list_makes_what_quay_takes(scene: Scene) -> None:
    """Rule 4.5: an OCI image beside a docker image needs an OCI index."""
    docker = images.image("linux/s390x", docker=True, config={"history": [{}]})
    scene.registry.put(scene.repository, images.index([docker], docker=True), "1")
    tag = scene.push_one(scene.offer(scene.index("linux/amd64")))
    assert (tag.action, tag.error) == ("merged", None)
    assert scene.entries() == ["linux/amd64", "linux/s390x"]
    scene.assert_whole("1", tag.new_digest or "")


@over(QUAY)
def test_a_docker_image_without_history_is_refused_by_its_name(scene: Scene) -> None:
    without = images.image("linux/amd64", docker=True)
    tag = scene.push_one(scene.offer(images.index([without], docker=True)))
    assert tag.error is not None
    assert (tag.action, tag.error.side) == ("failed", "destination")
    assert without.digest in tag.error.message
    assert "MANIFEST_INVALID" in tag.error.message


@over(QUAY)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/sha256:"),
        ("PUT", "/manifests/1"),
        ("GET", "/v2/auth"),
    ],
)
def test_one_500_as_of_the_first_writes_into_a_namespace_is_tried_again(scene: Scene, method: str, path: str) -> None:
    """Quay answers so to writes at the same time where a namespace with a quota is new."""
    scene.registry.gates.inject(method, path, error(500, "INTERNAL_ERROR", "Internal Server Error"))
    source = scene.index("linux/amd64", "linux/arm64")
    assert scene.push_one(scene.offer(source)).action == "copied"
    scene.assert_whole("1", source.digest)


@over([profiles.ECR, profiles.REDIRECTING_STORE])
def test_a_store_that_wants_to_be_asked_less_often_is_asked_again(scene: Scene) -> None:
    """Amazon's S3 answers so to GETs of blobs."""
    slow = Answer(503, {"Content-Type": "application/xml"}, b"<Error><Code>SlowDown</Code></Error>")
    source = scene.index("linux/amd64")
    scene.source.gates.inject("GET", "/blobs/", slow, slow)
    scene.registry.gates.inject("HEAD", "/blobs/", slow)
    assert scene.push_one(scene.offer(source)).action == "copied"
    scene.assert_whole("1", source.digest)
