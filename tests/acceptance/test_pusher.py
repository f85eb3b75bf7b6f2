"""The seed's class, embedded, on real registries: every method, its naming, its passwords, its failures."""

import inspect
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tasks.errors import RequestInvalid
from tasks.pusher import ContainerImagePusher, _plain, _public
from tests.conftest import MakeRegistry
from tests.support import embedding
from tests.support.embedding import Called
from tests.support.images import Index, Node, image, index, layer, source_image
from tests.support.registries import BasicAuth, DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import environment

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


def test_names_and_arguments_are_those_of_the_seed() -> None:
    """pubtools-quay's class, as its callers use it."""
    signatures = {
        name: list(inspect.signature(getattr(ContainerImagePusher, name)).parameters)
        for name in (
            "__init__",
            "push_container_images",
            "run_tag_images",
            "copy_source_push_item",
            "run_merge_workflow",
            "copy_multiarch_push_item",
        )
    }
    assert signatures == {
        "__init__": ["self", "push_items", "target_settings"],
        "push_container_images": ["self"],
        "run_tag_images": ["source_ref", "dest_refs", "all_arch", "target_settings"],
        "copy_source_push_item": ["self", "push_item"],
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
    """Rules 1.1, 2.2: then a single-arch image is refused, as the seed documents."""
    items = [program.item(program.put_a(image("linux/amd64")), mark=mark)]
    called = program("push_container_images", items=items, target_settings=program.target_settings)
    assert called.error == "PushFailed"
    (report,) = called.details
    assert report["items"][0]["error"]["code"] == "single_arch_refused"


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
    (entry,) = json.loads(program.stored.manifest(f"{program.name}/one", "1")[2])["manifests"]
    assert entry["platform"]["architecture"] == "amd64"
    single = program.put_a(image("linux/amd64"), "single")
    assert actions(program("run_tag_images", single, [reference], False, {})) == ["copied"]


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
    for each in (called, by_reference, refused):
        assert PASSWORD not in json.dumps([each.report, each.message, each.details]) + each.log
    written = b"".join(path.read_bytes() for path in program.state.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in written
    assert "umb_client_password has no meaning here" in called.log


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
    """Rule 6.7: pairs are used here, secrets without a meaning go, of a half only its key is left."""
    settings = {
        "quay_namespace": "ns",
        "source_quay_user": "src",
        "source_quay_password": PASSWORD,
        "dest_quay_password": PASSWORD,
        "umb_client_password": PASSWORD,
        "quay_token": {"value": PASSWORD},
    }
    assert _public(settings) == {"quay_namespace": "ns", "dest_quay_password": "…", "quay_token": "…"}


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
    called = program(
        "push_container_images", items=items, target_settings={"quay_hots": program.b.host}, as_objects=True
    )
    assert called.error == "RequestInvalid"
    (faults,) = called.details
    assert {(fault["item"], fault["field"]) for fault in faults} >= {
        (None, "target_settings.quay_hots"),
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
state = answers.get(timeout=40)
answer.delay()
print(json.dumps([state, answers.get(timeout=10)]))
"""


def test_a_celery_worker_that_embeds_the_pusher_stays_what_it_was(program: Program, multi_arch: Index) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOST, program.put_a(multi_arch), f"{program.b.host}/{program.name}/app:1"],
        env=environment({"IMAGEPUSHER_STATE_DIR": str(program.state)}),
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == ["succeeded", "host"]
    assert program.stored.digest(f"{program.name}/app", "1") == multi_arch.digest


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
