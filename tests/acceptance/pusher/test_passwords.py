"""Passwords in the settings of the target are used, and never shown or sent."""

import json
from typing import Any

import pytest
import redis

from tasks.pusher import _public
from tests.acceptance.pusher.program import PASSWORD, USER, Program, actions
from tests.conftest import MakeRegistry
from tests.support.images import Index
from tests.support.redis_server import RedisServer
from tests.support.registries import BasicAuth, DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import running_worker


def test_passwords_are_dropped_where_the_settings_say_so(
    program: Program, multi_arch: Index, redis_server: RedisServer
) -> None:
    """Rule 6.7: the workers hold the credentials."""
    redis_server.flush()
    settings = {"IMAGEPUSHER_BROKER_URL": redis_server.url}
    target_settings = program.target_settings | {"dest_quay_user": USER, "dest_quay_password": PASSWORD}
    items = [program.item(program.put_a(multi_arch))]
    with running_worker(settings), redis.Redis.from_url(redis_server.url) as client:
        called = program(
            "push_container_images",
            items=items,
            target_settings=target_settings,
            settings=settings | {"IMAGEPUSHER_DROP_PASSWORDS": "true"},
        )
        assert actions(called) == ["copied"]
        assert called.log.count("are dropped") == 1
        kept = b"".join(client.dump(key) or b"" for key in client.scan_iter())
    assert PASSWORD.encode() not in kept
    assert PASSWORD not in called.log


@pytest.fixture
def guarded(make_registry: MakeRegistry) -> tuple[DistributionRegistry, DistributionRegistry]:
    """Return a source and a destination that know different users."""
    return make_registry(auth=BasicAuth({"src": PASSWORD})), make_registry(auth=BasicAuth({"dst": PASSWORD}))


@pytest.mark.parametrize("keys", [("dest_quay_user", "dest_quay_password"), ("quay_user", "quay_password")])
def test_passwords_of_the_target_settings_are_used_and_never_shown(
    program: Program,
    multi_arch: Index,
    guarded: tuple[DistributionRegistry, DistributionRegistry],
    keys: tuple[str, str],
) -> None:
    """Rules 6.7, 8.1."""
    source, destination = guarded
    upload(source.host, "src", multi_arch, "1", auth=("src", PASSWORD))
    target_settings = {
        "quay_host": destination.host,
        "quay_namespace": "ns",
        "source_quay_user": "src",
        "source_quay_password": PASSWORD,
        keys[0]: "dst",
        keys[1]: PASSWORD,
        "umb_client_password": PASSWORD,
    }
    items = [program.item(f"{source.host}/src:1", {"app": ["1"]})]
    called = program("push_container_images", items=items, target_settings=target_settings)
    assert actions(called) == ["copied"]
    stored = Stored(destination.host, auth=("dst", PASSWORD))
    assert stored.digest("ns/app", "1") == multi_arch.digest
    by_reference = program(
        "run_merge_workflow", f"{source.host}/src:1", [f"{destination.host}/ns/app:2"], target_settings=target_settings
    )
    assert actions(by_reference) == ["copied"]
    wrong = target_settings | {keys[1]: f"{PASSWORD}-not"}
    refused = program("push_container_images", items=items, target_settings=wrong)
    assert refused.details[0]["items"][0]["tags"][0]["error"]["code"] == "authentication_refused"
    assert {"PushFailed", "RuntimeError", "HTTPError"} <= set(refused.caught)
    for each in (called, by_reference, refused):
        assert PASSWORD not in json.dumps([each.report, each.message, each.details]) + each.log
    written = b"".join(path.read_bytes() for path in program.state.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in written
    assert "umb_client_password" in called.log


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("push_container_images", []),
        ("run_merge_workflow", ["a.example/a:1", ["b.example/b:1"]]),
        ("run_tag_images", ["a.example/a:1", ["b.example/b:1"], True]),
    ],
)
def test_half_a_pair_is_refused_without_the_half_that_is_secret(
    program: Program, method: str, arguments: list[Any]
) -> None:
    """Rules 1.2, 6.7."""
    target_settings = {"quay_namespace": "ns", "dest_quay_password": PASSWORD}
    if method == "run_tag_images":
        arguments = [*arguments, target_settings]
    items = [program.item("a.example/a:1")]
    called = program(method, *arguments, items=items, target_settings=target_settings)
    assert called.error == "RequestInvalid"
    (faults,) = called.details
    assert "target_settings.dest_quay_user" in [fault["field"] for fault in faults]
    assert PASSWORD not in json.dumps([called.message, faults]) + called.log


def test_what_is_sent_holds_no_secret() -> None:
    """Rule 6.7: pairs are used here, keys without an effect go, of a half only its key is left."""
    settings = {
        "quay_namespace": "ns",
        "source_quay_user": "src",
        "source_quay_password": PASSWORD,
        "dest_quay_password": PASSWORD,
        "umb_client_password": PASSWORD,
        "quay_token": {"value": PASSWORD},
    }
    assert _public(settings) == {"quay_namespace": "ns", "dest_quay_password": "…"}


def test_a_password_that_a_broker_would_carry_is_refused(program: Program) -> None:
    """Rule 6.7."""
    target_settings = program.target_settings | {"dest_quay_user": USER, "dest_quay_password": PASSWORD}
    called = program(
        "push_container_images",
        items=[program.item("a.example/a:1")],
        target_settings=target_settings,
        settings={"IMAGEPUSHER_BROKER_URL": "redis://127.0.0.1:1/0"},
    )
    assert called.error == "SettingsInvalid"
    assert "a broker would carry it along" in called.message
    assert PASSWORD not in called.message + called.log
