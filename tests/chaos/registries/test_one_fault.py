"""Each fault alone, at the source and at the destination (BEHAVIOUR 5.3, 7.2, 8.1 to 8.4)."""

import pytest

from tests.chaos.registries.conftest import MakeScene
from tests.chaos.registries.scene import assert_all_complete, push_all
from tests.support.faults import Chosen, Fault, Kind, RetryAfter

# The requests that a push sends; the first one of each of these kinds meets the fault.
_READS_AT_A = (("GET", "/manifests/1$"), ("GET", "/manifests/sha256:"), ("GET", "/blobs/sha256:"))
_READS_AT_B = (("HEAD", "/manifests/"), ("GET", "/manifests/"), ("HEAD", "/blobs/"))
_COMMITS = (
    ("PUT", "/blobs/uploads/"),
    ("PUT", "/manifests/sha256:"),
    ("PUT", "/manifests/(new|old)$"),
    ("PUT", "/manifests/merged"),
)
_ALL_AT_B = (*_READS_AT_B, ("POST", "/blobs/uploads/"), *_COMMITS)
_LIES = (Kind.TRUNCATED, Kind.GROWN, Kind.FLIPPED)
_ANYWHERE = (0.0, 0.01, 0.6, 0.999)


def on(
    requests: tuple[tuple[str, str], ...],
    kind: Kind,
    *,
    at: float = 0.5,
    times: int = 1,
    status: int = 503,
    retry_after: RetryAfter = "none",
    seconds: int = 0,
) -> Chosen:
    """Return the plan that spoils the first request of each of these kinds, `times` times."""
    return Chosen(*(Fault(kind, method, path, 1, times, at, status, retry_after, seconds) for method, path in requests))


def test_without_faults_a_push_completes(make_scene: MakeScene) -> None:
    report = make_scene().push()
    assert [tag.action for tag in report.items[0].tags] == ["copied", "copied", "merged", "copied"]


@pytest.mark.parametrize("kind", [Kind.RESET_ANSWER, Kind.STALL_ANSWER, Kind.REFUSED, Kind.LIMITED])
def test_the_first_request_to_a_registry_fails(make_scene: MakeScene, kind: Kind) -> None:
    ping = (("GET", "/v2/$"),)
    assert_all_complete([make_scene(at_a=on(ping, kind)), make_scene(at_b=on(ping, kind))])


def test_a_connection_is_reset_anywhere_in_an_answer_of_the_source(make_scene: MakeScene) -> None:
    assert_all_complete(make_scene(at_a=on(_READS_AT_A, Kind.RESET_ANSWER, at=at)) for at in _ANYWHERE)


def test_a_connection_is_reset_anywhere_in_an_answer_of_the_destination(make_scene: MakeScene) -> None:
    assert_all_complete(make_scene(at_b=on(_ALL_AT_B, Kind.RESET_ANSWER, at=at)) for at in _ANYWHERE)


def test_a_connection_is_reset_anywhere_in_an_upload(make_scene: MakeScene) -> None:
    assert_all_complete(make_scene(at_b=on(_COMMITS, Kind.RESET_REQUEST, at=at)) for at in _ANYWHERE)


def test_a_registry_goes_silent(make_scene: MakeScene) -> None:
    """Rule 8.4."""
    assert_all_complete(
        [
            make_scene(at_a=on(_READS_AT_A, Kind.STALL_ANSWER, at=0.0)),
            make_scene(at_a=on(_READS_AT_A, Kind.STALL_ANSWER, at=0.6)),
            make_scene(at_b=on(_READS_AT_B, Kind.STALL_ANSWER, at=0.0)),
            make_scene(at_b=on((("POST", "/blobs/uploads/"),), Kind.STALL_ANSWER, at=0.0)),
        ]
    )


def test_a_commit_times_out_or_answers_500_stored_or_not(make_scene: MakeScene) -> None:
    assert_all_complete(
        [
            make_scene(at_b=on(_COMMITS, Kind.STALL_REQUEST, at=0.0)),
            make_scene(at_b=on(_COMMITS, Kind.STALL_REQUEST, at=0.6)),
            make_scene(at_b=on(_COMMITS, Kind.STALL_ANSWER, at=0.0)),
            make_scene(at_b=on(_COMMITS, Kind.DENIED, status=500)),
        ]
    )


def test_the_last_try_of_a_commit_answers_500_though_it_was_stored(make_scene: MakeScene) -> None:
    """Rule 6.1: what is reported as failed has not moved."""
    tries = 3
    assert_all_complete(
        make_scene(
            at_b=Chosen(
                Fault(Kind.REFUSED, method, path, times=tries - 1),
                Fault(Kind.DENIED, method, path, nth=tries, status=500),
            )
        )
        for method, path in _COMMITS
    )


def test_bursts_of_server_errors(make_scene: MakeScene) -> None:
    assert_all_complete(
        make_scene(
            on(_READS_AT_A, Kind.REFUSED, status=status, times=2), on(_ALL_AT_B, Kind.REFUSED, status=status, times=2)
        )
        for status in (500, 502, 503, 504)
    )


def test_limits_in_every_shape(make_scene: MakeScene) -> None:
    """Rule 8.3."""
    shapes: tuple[RetryAfter, ...] = ("seconds", "date", "none", "html")
    assert_all_complete(
        make_scene(
            on(_READS_AT_A[:1], Kind.LIMITED, retry_after=shape, seconds=1),
            on(_ALL_AT_B[::3], Kind.LIMITED, retry_after=shape, seconds=1),
        )
        for shape in shapes
    )


@pytest.mark.parametrize("kind", [Kind.CUT, Kind.LONGER])
def test_the_length_of_an_answer_is_not_the_declared_one(make_scene: MakeScene, kind: Kind) -> None:
    assert_all_complete(
        [make_scene(at_a=on(_READS_AT_A, kind, at=at)) for at in (0.0, 0.6)]
        + [make_scene(at_b=on(_READS_AT_B[1:2], kind))]
    )


@pytest.mark.parametrize("kind", _LIES)
def test_a_source_serves_a_blob_with_other_bytes(make_scene: MakeScene, kind: Kind) -> None:
    """Rule 2.4."""
    scenes = [make_scene(at_a=on(_READS_AT_A[2:], kind, at=at)) for at in (0.0, 0.6)]
    for scene, report in zip(scenes, push_all(scenes), strict=True):
        assert scene.codes(report) == {"content_mismatch"}, scene.story()


@pytest.mark.parametrize("kind", _LIES)
@pytest.mark.parametrize("request_of_manifest", _READS_AT_A[:2])
def test_a_source_serves_a_manifest_with_other_bytes(
    make_scene: MakeScene, kind: Kind, request_of_manifest: tuple[str, str]
) -> None:
    """Rule 2.4."""
    scene = make_scene(at_a=on((request_of_manifest,), kind, at=0.0))
    assert scene.codes(scene.push()) == {"content_mismatch"}, scene.story()


@pytest.mark.parametrize("kind", _LIES)
def test_a_destination_serves_another_index(make_scene: MakeScene, kind: Kind) -> None:
    """Rule 3.4: it is not taken for absent."""
    scene = make_scene(at_b=on((("GET", "/manifests/merged"),), kind, at=0.0))
    assert scene.codes(scene.push()) == {"content_mismatch"}, scene.story()


def test_an_upload_has_a_flipped_byte(make_scene: MakeScene) -> None:
    scene = make_scene(at_b=on(_COMMITS[:1], Kind.FLIPPED_REQUEST))
    assert scene.codes(scene.push()) <= {"content_mismatch"}, scene.story()


def test_a_redirect_leads_to_another_host(make_scene: MakeScene) -> None:
    """Rule 8.2."""
    scenes = [
        make_scene(on(_READS_AT_A, Kind.REDIRECTED), on(_READS_AT_B[1:2], Kind.REDIRECTED), tokens=tokens)
        for tokens in (False, True)
    ]
    assert_all_complete(scenes)
    for scene in scenes:
        assert len(scene.proxy_a.elsewhere.authorizations) == len(_READS_AT_A)


def test_a_token_expires_anywhere(make_scene: MakeScene) -> None:
    """Rule 8.1."""
    scene = make_scene(on(_READS_AT_A, Kind.EXPIRED_TOKEN), on(_ALL_AT_B, Kind.EXPIRED_TOKEN), tokens=True)
    assert_all_complete([scene])


def test_upload_sessions_vanish(make_scene: MakeScene) -> None:
    assert_all_complete([make_scene(at_b=on(_COMMITS[:1], Kind.LOST_SESSION, times=3))])


def test_a_registry_stays_broken(make_scene: MakeScene) -> None:
    """Rules 6.2, 6.4, 8.3: what does not need it is done, the rest is as it was."""
    broken = (
        (make_scene(at_b=stays_broken("PUT", "/manifests/")), 0),
        (make_scene(at_b=stays_broken("PUT", "/one/manifests/merged")), 3),
        (make_scene(at_b=stays_broken("POST", "/two/blobs/uploads/")), 3),
        (make_scene(at_a=stays_broken("GET", "/blobs/")), 0),
    )
    for (scene, moved), report in zip(broken, push_all(scene for scene, _ in broken), strict=True):
        assert scene.codes(report) == {"registry_unavailable"}, scene.story()
        assert sum(tag.error is None for tag in report.items[0].tags) == moved, scene.story()


def test_a_push_whose_tags_move_together_is_withheld(make_scene: MakeScene) -> None:
    """Rule 6.2."""
    scene = make_scene(at_b=stays_broken("POST", "/two/blobs/uploads/"))
    report = scene.push("push")
    assert report.state == "failed"
    assert scene.codes(report) == {"registry_unavailable", "withheld"}


def stays_broken(method: str, path: str) -> Chosen:
    return Chosen(Fault(Kind.REFUSED, method, path, times=10_000))
