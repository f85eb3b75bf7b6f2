"""A program that embeds the class: failures with their report, a Celery worker, repeated calls, odd values."""

import json
import subprocess
import sys
from types import MappingProxyType

import pytest

from tasks.errors import RequestInvalid
from tasks.pusher import _plain
from tests.acceptance.pusher.program import Program
from tests.support.images import Index
from tests.support.workers import environment


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
