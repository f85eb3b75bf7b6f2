"""The class of pubtools-quay, embedded, on real registries: every method, its naming, its passwords, its failures."""

import inspect
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import redis

from tasks.errors import RequestInvalid
from tasks.pusher import ContainerImagePusher, _plain, _public
from tasks.registry.settings import HttpLimits
from tests.conftest import MakeRegistry
from tests.support import embedding
from tests.support.embedding import Called
from tests.support.faults import Chosen, Fault, Kind
from tests.support.faulty_proxy import FaultyProxy
from tests.support.images import Index, Node, image, index, layer, source_image
from tests.support.redis_server import RedisServer
from tests.support.registries import BasicAuth, DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import environment, running_worker

USER, PASSWORD = "me", "geheim"


@dataclass(frozen=True)
class Program:
    """A program that embeds the pusher: its state folder, two registries, and names that no other test uses."""

    state: Path
    a: DistributionRegistry
    b: DistributionRegistry
    name: str

    def __call__(self, method: str, *arguments: Any, **options: Any) -> Called:
        settings = {"IMAGEPUSHER_STATE_DIR": str(self.state)} | options.pop("settings", {})
        return embedding.call(method, *arguments, settings=settings, **options)

    @property
    def target_settings(self) -> dict[str, Any]:
        return {"quay_host": self.b.host, "quay_namespace": self.name}

    @property
    def stored(self) -> Stored:
        return Stored(self.b.host)

    def put_a(self, node: Node, tag: str = "1") -> str:
        upload(self.a.host, f"{self.name}/src", node, tag)
        return f"{self.a.host}/{self.name}/src:{tag}"

    def item(self, source: str, tags: dict[str, list[str]] | None = None, mark: Any = None) -> dict[str, Any]:
        """Return a push item as Pub has it, with much that a push does not need."""
        build = {"nvr": "app-1-1", "extra": {"image": {"index": {"tags": ["1"]}}}}
        if mark is not None:
            build["extra"]["image"]["sources_for_nvr"] = mark  # type: ignore[index]
        metadata = {"pull_url": source, "tags": tags or {"ns/app": ["1"]}, "build": build, "repos": {}, "arch": None}
        return {"metadata": metadata, "name": "app", "state": "PENDING"}


@pytest.fixture
def program(tmp_path: Path, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str) -> Program:
    return Program(tmp_path / "state", registry_a, registry_b, name)


@pytest.fixture
def multi_arch(name: str) -> Index:
    return index(
        [image(each, [layer(f"{name}{each}", 700)], docker=True) for each in ("linux/amd64", "linux/arm64")],
        docker=True,
    )


@pytest.fixture
def other(name: str) -> Index:
    """Return what a destination may hold: a platform that no source of these tests has."""
    return index([image("linux/s390x", [layer(f"{name}other", 700)], docker=True)], docker=True)


def actions(called: Called) -> list[str]:
    assert called.report is not None, called.message
    return [tag["action"] for item in called.report["items"] for tag in item["tags"]]


def test_names_and_arguments_are_those_of_pubtools_quay() -> None:
    """pubtools-quay's class, as its callers use it."""
    signatures = {
        name: list(inspect.signature(getattr(ContainerImagePusher, name)).parameters)
        for name in (
            "__init__",
            "push_container_images",
            "run_tag_images",
            "copy_source_push_item",
            "copy_v1_push_item",
            "run_merge_workflow",
            "copy_multiarch_push_item",
        )
    }
    assert signatures == {
        "__init__": ["self", "push_items", "target_settings"],
        "push_container_images": ["self"],
        "run_tag_images": ["source_ref", "dest_refs", "all_arch", "target_settings"],
        "copy_source_push_item": ["self", "push_item"],
        "copy_v1_push_item": ["self", "push_item"],
        "run_merge_workflow": ["self", "source_ref", "dest_refs"],
        "copy_multiarch_push_item": ["self", "push_item", "source_ml"],
    }


@pytest.mark.parametrize("as_objects", [True, False], ids=["objects", "dicts"])
def test_push_items_are_copied_merged_or_copied_as_sources(
    program: Program, multi_arch: Index, other: Index, as_objects: bool
) -> None:
    """Rules 1.1, 1.4, 2.2, 3.2."""
    sources = source_image(f"{program.name}sources")
    upload(program.b.host, f"{program.name}/ns----merged", other, "latest")
    upload(program.b.host, f"{program.name}/plain", other, "1")
    items = [
        program.item(program.put_a(multi_arch), {"ns/app": ["1", "2"], "ns/merged": ["latest"]}),
        program.item(program.put_a(sources, "2"), {"plain": ["1"]}, mark="app-1-1"),
    ]
    called = program(
        "push_container_images", items=items, target_settings=program.target_settings, as_objects=as_objects
    )
    assert actions(called) == ["copied", "copied", "merged", "copied"]
    assert called.report is not None
    assert [item["kind"] for item in called.report["items"]] == ["multi-arch", "source"]
    stored = program.stored
    assert stored.digest(f"{program.name}/ns----app", "2") == multi_arch.digest
    merged = json.loads(stored.manifest(f"{program.name}/ns----merged", "latest")[2])
    assert [entry["platform"]["architecture"] for entry in merged["manifests"]] == ["amd64", "arm64", "s390x"]
    assert stored.digest(f"{program.name}/plain", "1") == sources.digest


@pytest.mark.parametrize("mark", ["", None, 0, []])
def test_a_build_that_does_not_mark_a_source_image_does_not_make_one(program: Program, mark: Any) -> None:
    """Rules 1.1, 2.2: then a single-arch image is refused, as the original documents."""
    items = [program.item(program.put_a(image("linux/amd64")), mark=mark)]
    called = program("push_container_images", items=items, target_settings=program.target_settings)
    assert called.error == "PushFailed"
    (report,) = called.details
    assert report["items"][0]["error"]["code"] == "single_arch_refused"
    assert "allow_v1_containers" in report["items"][0]["error"]["message"]


def test_one_item_is_pushed_as_a_source_image_whatever_it_is(program: Program, multi_arch: Index, other: Index) -> None:
    """Rule 2.2."""
    upload(program.b.host, f"{program.name}/ns----app", other, "1")
    item = program.item(program.put_a(multi_arch))
    called = program("copy_source_push_item", item, target_settings=program.target_settings, as_objects=True)
    assert actions(called) == ["copied"]
    assert program.stored.digest(f"{program.name}/ns----app", "1") == multi_arch.digest


def test_one_item_is_merged_whatever_its_build_says(program: Program, multi_arch: Index, other: Index) -> None:
    """Rule 3.2."""
    upload(program.b.host, f"{program.name}/ns----app", other, "1")
    item = program.item(program.put_a(multi_arch), mark="app-1-1")
    called = program("copy_multiarch_push_item", item, {"any": "list"}, target_settings=program.target_settings)
    assert actions(called) == ["merged"]


def test_full_references_are_merged(program: Program, multi_arch: Index, other: Index) -> None:
    """Rule 3.2."""
    upload(program.b.host, f"{program.name}/one", other, "1")
    references = [f"{program.b.host}/{program.name}/one:1", f"{program.b.host}/{program.name}/two:1"]
    called = program("run_merge_workflow", program.put_a(multi_arch), references)
    assert actions(called) == ["merged", "copied"]
    single = program("run_merge_workflow", program.put_a(image("linux/amd64"), "2"), references)
    assert single.details[0]["items"][0]["error"]["code"] == "single_arch_refused"


def test_full_references_are_tagged_with_all_platforms_or_one(
    program: Program, multi_arch: Index, other: Index
) -> None:
    upload(program.b.host, f"{program.name}/one", other, "1")
    source, reference = program.put_a(multi_arch), f"{program.b.host}/{program.name}/one:1"
    called = program("run_tag_images", source, [reference], True, {})
    assert actions(called) == ["copied"]
    assert program.stored.digest(f"{program.name}/one", "1") == multi_arch.digest
    assert actions(program("run_tag_images", source, [reference], False, {})) == ["copied"]
    assert program.stored.digest(f"{program.name}/one", "1") == multi_arch.members[0].digest
    arm64 = image("linux/arm64", [layer(program.name, 300)])
    assert actions(program("run_tag_images", program.put_a(arm64, "arm64"), [reference], False, {})) == ["copied"]
    assert program.stored.digest(f"{program.name}/one", "1") == arm64.digest
    foreign = index([image(each, [layer(program.name, 300)]) for each in ("linux/s390x", "linux/ppc64le")])
    refused = program("run_tag_images", program.put_a(foreign, "foreign"), [reference], False, {})
    assert refused.details[0]["items"][0]["error"]["code"] == "platform_missing"


def test_a_digest_may_be_the_destination_of_that_very_image(program: Program, multi_arch: Index) -> None:
    """Rule 1.4: the image is stored without a tag."""
    repository, digest = f"{program.b.host}/{program.name}/untagged", multi_arch.members[1].digest
    source = f"{program.put_a(multi_arch).rpartition(':')[0]}@{digest}"
    called = program("run_tag_images", source, [f"{repository}@{digest}"], False, {})
    assert actions(called) == ["copied"]
    program.stored.holds(f"{program.name}/untagged", digest)
    assert program.stored.tags(f"{program.name}/untagged") == []
    assert actions(program("run_tag_images", source, [f"{repository}@{digest}"], True, {})) == ["unchanged"]
    other = program("run_tag_images", source, [f"{repository}@{multi_arch.digest}"], False, {})
    assert other.details[0]["items"][0]["tags"][0]["error"]["code"] == "content_mismatch"


@pytest.mark.parametrize("tries", [1, "3"])
def test_the_number_of_tries_counts_for_references_too(program: Program, tries: Any) -> None:
    """Rule 8.3: each try of a copy of one layer and a configuration asks five times for each."""
    source = program.put_a(image("linux/amd64", [layer(program.name, 300)]))
    with FaultyProxy(program.b.host, Chosen(Fault(Kind.REFUSED, "POST", "/blobs/uploads/", times=1000))) as proxy:
        called = program(
            "run_tag_images", source, [f"{proxy.host}/{program.name}/app:1"], True, {"tag_images_tries": tries}
        )
        posts = len(proxy.injected)
    assert {"PushFailed", "HTTPError"} <= set(called.caught)
    assert posts == int(tries) * 2 * HttpLimits().tries


@pytest.mark.parametrize(
    ("tries", "method", "as_items"),
    [(1, "GET", True), (2, "GET", False), (1, "PUT", False), (2, "PUT", True)],
    ids=["read", "read again", "tag", "tag again"],
)
def test_the_number_of_tries_counts_for_the_whole_step(
    program: Program, tmp_path: Path, tries: int, method: str, as_items: bool
) -> None:
    """As in the original, which reads, copies and tags again; S6."""
    (tmp_path / "quick.toml").write_text("[http]\ntries = 2\nlongest_wait = 0.05\n")
    quick = {"IMAGEPUSHER_CONFIG": str(tmp_path / "quick.toml")}
    source = program.put_a(index([image("linux/amd64", [layer(program.name, 300)])]))
    reads = method == "GET"
    refused = Chosen(Fault(Kind.REFUSED, method, "/manifests/1", times=1000))
    with FaultyProxy(program.a.host if reads else program.b.host, refused) as proxy:
        host = program.b.host if reads else proxy.host
        if reads:
            source = source.replace(program.a.host, proxy.host)
        target = {"tag_images_tries": tries, "quay_host": host, "quay_namespace": program.name}
        if as_items:
            items = [program.item(source, {"ns/app": ["1"]})]
            called = program("push_container_images", items=items, target_settings=target, settings=quick)
        else:
            reference = f"{host}/{program.name}/app:1"
            called = program("run_tag_images", source, [reference], True, target, settings=quick)
        asked = len(proxy.injected)
    assert {"PushFailed", "HTTPError"} <= set(called.caught)
    assert asked == tries * 2


def test_a_single_image_is_copied_where_the_settings_allow_it(program: Program, multi_arch: Index) -> None:
    """Rule 2.2: refused, it fails its own item alone."""
    single = image("linux/arm64", [layer(program.name, 300)])
    items = [
        program.item(program.put_a(single), {"ns/single": ["1"]}),
        program.item(program.put_a(multi_arch, "2"), {"ns/app": ["1"]}),
    ]
    called = program("push_container_images", items=items, target_settings=program.target_settings)
    (report,) = called.details
    assert [tag["action"] for item in report["items"] for tag in item["tags"]] == ["failed", "copied"]
    allowed = program.target_settings | {"allow_v1_containers": True}
    assert actions(program("push_container_images", items=items, target_settings=allowed)) == ["copied", "unchanged"]
    assert program.stored.digest(f"{program.name}/ns----single", "1") == single.digest


def test_one_item_is_copied_as_it_is_with_the_method_for_single_images(
    program: Program, multi_arch: Index, other: Index
) -> None:
    """Rule 2.2."""
    sources: tuple[Node, ...] = (image("linux/arm64", [layer(program.name, 300)]), multi_arch)
    for number, source in enumerate(sources):
        upload(program.b.host, f"{program.name}/ns----app", other, str(number))
        item = program.item(program.put_a(source, f"source-{number}"), {"ns/app": [str(number)]})
        assert actions(program("copy_v1_push_item", item, target_settings=program.target_settings)) == ["copied"]
        assert program.stored.digest(f"{program.name}/ns----app", str(number)) == source.digest


def test_merging_can_be_switched_off(program: Program, multi_arch: Index, other: Index) -> None:
    """Rule 3.2: as pubtools-quay does it by now."""
    upload(program.b.host, f"{program.name}/ns----app", other, "1")
    settings = program.target_settings | {"merge": False}
    items = [program.item(program.put_a(multi_arch))]
    assert actions(program("push_container_images", items=items, target_settings=settings)) == ["copied"]
    assert program.stored.digest(f"{program.name}/ns----app", "1") == multi_arch.digest


def test_no_items_are_a_push_that_does_nothing(program: Program) -> None:
    """Rule 1.7."""
    called = program("push_container_images", items=[], target_settings=program.target_settings)
    assert called.report is not None
    assert (called.report["state"], called.report["items"]) == ("succeeded", [])


def test_two_items_for_one_tag_are_merged(program: Program) -> None:
    """Rule 1.5."""
    builds = [index([image(each, [layer(program.name + each, 300)])]) for each in ("linux/amd64", "linux/arm64")]
    items = [program.item(program.put_a(build, str(number))) for number, build in enumerate(builds)]
    called = program("push_container_images", items=[*items, items[0]], target_settings=program.target_settings)
    assert called.report is not None, called.message
    assert len(called.report["items"]) == 2
    held = json.loads(program.stored.manifest(f"{program.name}/ns----app", "1")[2])["manifests"]
    assert {entry["platform"]["architecture"] for entry in held} == {"amd64", "arm64"}


def test_settings_without_an_effect_are_one_line(program: Program, multi_arch: Index) -> None:
    """Rule 1.7: those of the whole of pubtools-quay, secrets among them, and one that nobody knows."""
    settings = {
        "skopeo_image": "x",
        "docker_settings": {"docker_reference_registry": ["q.example"]},
        "source_quay_host": "q.example",
        "dest_quay_api_token": PASSWORD,
        "ssh_password": PASSWORD,
        "pyxis_server": "https://pyxis.example",
        "colour": "red",
        "tag_images_tries": "4",
    }
    items = [program.item(program.put_a(multi_arch))]
    called = program("push_container_images", items=items, target_settings=program.target_settings | settings)
    assert actions(called) == ["copied"]
    (line,) = [line for line in called.log.splitlines() if "target_settings" in line]
    assert all(key in line for key in settings.keys() - {"tag_images_tries"})
    assert PASSWORD not in called.log


@pytest.mark.parametrize(
    ("change", "caught"),
    [
        ({"dest_quay_user": "me"}, {"RequestInvalid", "ValueError"}),
        ({"quay_namespace": None}, {"RequestInvalid", "KeyError"}),
        ({}, {"PushFailed", "RuntimeError"}),
    ],
    ids=["half a pair", "no namespace", "no source"],
)
def test_errors_are_those_that_callers_of_pubtools_quay_catch(
    program: Program, change: dict[str, Any], caught: set[str]
) -> None:
    items = [program.item(f"{program.a.host}/gone:1")]
    called = program("push_container_images", items=items, target_settings=program.target_settings | change)
    assert caught <= set(called.caught)


OPERATED = """
import json, logging, sys
import pluggy
import pubtools.pluggy as installed
from tasks.pusher import ContainerImagePusher

class Plugin:
    @pluggy.HookimplMarker("pubtools")
    def quay_images_tagged(self, source_ref, dest_refs):
        told.append([source_ref, dest_refs])

class Events(logging.Handler):
    def emit(self, record):
        told.append(record.event["type"])

told = []
installed.pm.register(Plugin())
logger = logging.getLogger("pubtools.quay")
logger.setLevel(logging.INFO)
logger.addHandler(Events())
for items in json.loads(sys.argv[1]):
    try:
        ContainerImagePusher(items, json.loads(sys.argv[2])).push_container_images()
    except RuntimeError:
        told.append("failed")
print(json.dumps(told))
"""
PLUGGY = """
import pluggy
pm = pluggy.PluginManager("pubtools")
"""


def test_log_events_and_the_hook_are_those_of_pubtools_quay(
    program: Program, multi_arch: Index, tmp_path: Path
) -> None:
    """Its package is stood in for by the plug-in manager that it is."""
    package = tmp_path / "installed" / "pubtools"
    package.mkdir(parents=True)
    (package / "pluggy.py").write_text(PLUGGY)
    source = program.put_a(multi_arch)
    pushes = [[program.item(source, {"ns/b": ["1"], "ns/a": ["2", "1"]})], [program.item(f"{program.a.host}/gone:1")]]
    done = subprocess.run(
        [sys.executable, "-c", OPERATED, json.dumps(pushes), json.dumps(program.target_settings)],
        env=environment({"IMAGEPUSHER_STATE_DIR": str(program.state), "PYTHONPATH": f"{package.parent}:{Path.cwd()}"}),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    root = f"{program.b.host}/{program.name}/ns----"
    assert json.loads(done.stdout) == [
        "push-images-to-quay-start",
        [source, [f"{root}a:1", f"{root}a:2", f"{root}b:1"]],
        "push-images-to-quay-end",
        "push-images-to-quay-start",
        "push-images-to-quay-error",
        "failed",
    ]


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


def test_a_failure_carries_the_report_of_all_items(program: Program, multi_arch: Index) -> None:
    """Rules 6.2, 6.3."""
    items = [program.item(f"{program.a.host}/gone:1"), program.item(program.put_a(multi_arch), {"ns/app": ["2"]})]
    called = program("push_container_images", items=items, target_settings=program.target_settings)
    assert called.error == "PushFailed"
    assert "1 of 2 tags failed" in called.message
    (report,) = called.details
    assert (report["state"], [item["tags"][0]["action"] for item in report["items"]]) == (
        "partial",
        ["failed", "copied"],
    )


def test_all_faults_of_all_items_are_reported_and_nothing_is_written(program: Program, multi_arch: Index) -> None:
    """Rule 1.2."""
    items = [
        program.item(program.put_a(multi_arch)),
        {"name": "no metadata"},
        {"metadata": {"tags": {"ns/app": "1"}}},
        {"metadata": "wrong"},
    ]
    called = program("push_container_images", items=items, target_settings={"tag_images_tries": 0}, as_objects=True)
    assert called.error == "RequestInvalid"
    (faults,) = called.details
    assert {(fault["item"], fault["field"]) for fault in faults} >= {
        (None, "target_settings.tag_images_tries"),
        (None, "target_settings.quay_namespace"),
        (1, "metadata"),
        (2, "metadata.pull_url"),
        (2, "metadata.tags.ns/app"),
        (3, "metadata"),
    }
    assert program.stored.tags(f"{program.name}/ns----app") == []


HOST = """
import json, queue, sys, threading
from celery import Celery, current_app
from celery.worker import WorkController
from tasks.pusher import ContainerImagePusher

app = Celery("host", broker="memory://localhost")
app.conf.update(broker_transport_options={"polling_interval": 0.01}, worker_enable_remote_control=False)
app.set_default()
answers = queue.Queue()

@app.task
def push(source, reference):
    answers.put(ContainerImagePusher([], {}).run_merge_workflow(source, [reference]).state)

@app.task
def answer():
    answers.put(current_app.main)

ready = threading.Event()
parts = {"without_mingle": True, "without_gossip": True, "ready_callback": lambda _: ready.set()}
threading.Thread(target=WorkController(app=app, pool="threads", concurrency=2, **parts).start, daemon=True).start()
ready.wait()
push.delay(*sys.argv[1:])
state = answers.get(timeout=200)
answer.delay()
print(json.dumps([state, answers.get(timeout=200)]))
"""


def test_a_celery_worker_that_embeds_the_pusher_stays_what_it_was(program: Program, multi_arch: Index) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOST, program.put_a(multi_arch), f"{program.b.host}/{program.name}/app:1"],
        env=environment({"IMAGEPUSHER_STATE_DIR": str(program.state)}),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == ["succeeded", "host"]
    assert program.stored.digest(f"{program.name}/app", "1") == multi_arch.digest


AGAIN = """
import gc, json, os, sys, threading, tracemalloc
from tasks.pusher import ContainerImagePusher

def call(times):
    for _ in range(times):
        ContainerImagePusher([], {}).run_merge_workflow(sys.argv[1], [sys.argv[2]])
    # What a finalizer brings back to life once is only collected the next time.
    while gc.collect():
        pass
    return len(os.listdir("/proc/self/fd")), threading.active_count(), tracemalloc.get_traced_memory()[0]

tracemalloc.start()
call(3)
print(json.dumps([call(1), call(CALLS)]))
"""
CALLS = 12
# A call that leaves something behind leaves some 100 KiB or more; logs and caches of the interpreter vary by less.
BYTES_A_CALL = 12 << 10


def test_a_program_that_calls_again_and_again_stays_as_it_is(program: Program, multi_arch: Index) -> None:
    """Sockets, threads and memory are given back when the call ends.

    The program is not measured for coverage, which keeps some 8 KiB for each call, of all threads that it has seen.
    """
    variables = environment({"IMAGEPUSHER_STATE_DIR": str(program.state)})
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            AGAIN.replace("CALLS", str(CALLS)),
            program.put_a(multi_arch),
            f"{program.b.host}/{program.name}/app:1",
        ],
        env={name: value for name, value in variables.items() if not name.startswith("COVERAGE")},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    (descriptors, threads, held), (descriptors_later, threads_later, held_later) = json.loads(done.stdout)
    assert (descriptors_later, threads_later) == (descriptors, threads)
    assert (held_later - held) / CALLS < BYTES_A_CALL


def test_references_are_a_list(program: Program) -> None:
    called = program("run_merge_workflow", "a.example/a:1", "b.example/b:1")
    assert (called.error, "dest_refs is a string" in called.message) == ("RequestInvalid", True)
    without_tag = program("run_merge_workflow", "a.example/a:1", ["b.example/b"])
    assert without_tag.error == "RequestInvalid"


def test_values_that_are_no_json_are_refused_or_read_for_what_they_are() -> None:
    """A library's caller has more types than JSON: those that mean the same are taken."""
    plain = _plain({"push_items": ({"tags": MappingProxyType({"a": ("1", "2")})},)})
    assert plain == {"push_items": [{"tags": {"a": ["1", "2"]}}]}
    with pytest.raises(RequestInvalid, match=r"cannot be sent as JSON: .*object"):
        _plain({"items": [object()]})
