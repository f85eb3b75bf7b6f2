"""The log of a real worker: one JSON object a line, each about the push, the digest, the tag that it is about."""

import json
import subprocess
import sys

from tests.integration.observability.conftest import Watched
from tests.support.images import image, index, layer
from tests.support.processes import wait_until
from tests.support.registries import DistributionRegistry
from tests.support.stored import upload
from tests.support.workers import command, environment


def test_a_push_has_a_start_and_an_end_under_the_names_of_the_seed(
    watched: Watched, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    upload(registry_a.host, f"{name}/src", index([image(layers=[layer(name, 100)])]), "1")
    # A single manifest is overwritten, with a warning.
    upload(registry_b.host, f"{name}/dst", image(layers=[layer("old", 100)]), "1")
    reference = f"{registry_b.host}/{name}/dst:1"
    item = {"source": f"{registry_a.host}/{name}/src:1", "destinations": {f"{registry_b.host}/{name}/dst": ["1"]}}
    report = watched.push({"items": [item]})
    push_id = report["push_id"]
    wait_until(lambda: "push-images-to-quay-end" in events(watched, push_id), "the log never told the end")
    lines = watched.log_of(push_id)
    assert lines[0]["event"] == "push-images-to-quay-start"
    assert "push-images-to-quay-error" not in events(watched, push_id)
    assert {line["worker"].startswith("imagepusher-") for line in lines} == {True}
    (end,) = (line for line in lines if line["event"] == "push-images-to-quay-end")
    assert (end["level"], end["state"], end["tags"]) == ("info", "succeeded", {"copied": 1})
    assert end["bytes_copied"] == report["totals"]["bytes_copied"]
    # What Celery says of a task names the push and its digest too.
    assert {line.get("digest") for line in lines if "Task imagepusher.copy.v1" in line["event"]} == {
        index([image(layers=[layer(name, 100)])]).members[0].digest
    }
    (warning,) = (line for line in lines if line["level"] == "warning")
    assert warning["reference"] == reference


def test_a_push_that_failed_has_an_error_that_says_which_tags_and_why_in_one_line(
    watched: Watched, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    item = {"source": f"{registry_a.host}/{name}/gone:1", "destinations": {f"{registry_b.host}/{name}": ["1"]}}
    push_id = watched.push({"items": [item]})["push_id"]
    wait_until(lambda: "push-images-to-quay-error" in events(watched, push_id), "the log never told of the failure")
    (error,) = (line for line in watched.log_of(push_id) if line["event"] == "push-images-to-quay-error")
    assert (error["level"], error["code"], error["state"]) == ("error", "push_failed", "failed")
    assert f"{registry_b.host}/{name}:1" in error["error"]
    assert "source_missing" in error["error"]
    (told,) = (line for line in watched.log_of(push_id) if line.get("reference") == f"{registry_b.host}/{name}:1")
    assert (told["level"], "source_missing" in told["event"]) == ("warning", True)


def test_a_request_that_is_refused_has_an_error_with_its_code(watched: Watched) -> None:
    push_id = watched.send({"items": []})
    wait_until(lambda: "push-images-to-quay-error" in events(watched, push_id), "the log never told of the refusal")
    (error,) = (line for line in watched.log_of(push_id) if line["event"] == "push-images-to-quay-error")
    assert error["code"] == "request_invalid"
    assert "items: is empty" in error["error"]


def test_what_plugins_log_in_the_manner_of_celery_is_json_too() -> None:
    """Celery gives its task loggers handlers of their own, unless someone else takes care of logging."""
    program = (
        "from celery.utils.log import get_task_logger\n"
        "from workers.broker.app import make_app\n"
        "from workers.observability.logs import configure_logging\n"
        "from workers.observability.observe import observe_worker\n"
        "from workers.settings import load_settings\n"
        "settings = load_settings({'IMAGEPUSHER_BROKER_URL': 'redis://127.0.0.1:1/0'})\n"
        "configure_logging('info', 'json')\n"
        "app = make_app(settings)\n"
        "observe_worker(app, settings.observability, list)\n"
        "app.log.setup('INFO')\n"
        "get_task_logger('plugin').warning('hello')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment({}), capture_output=True, text=True, check=True, timeout=300
    )
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["hello"]


def test_the_level_is_taken_from_the_environment_too() -> None:
    settings = {"IMAGEPUSHER_BROKER_URL": "redis://127.0.0.1:1/0", "IMAGEPUSHER_LOG_LEVEL": "loud"}
    done = subprocess.run(
        command("worker"), env=environment(settings), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 2
    assert "'loud' is not one of 'debug', 'info', 'warning', 'error'" in done.stderr


def events(watched: Watched, push_id: str) -> list[str]:
    return [line["event"] for line in watched.log_of(push_id)]
