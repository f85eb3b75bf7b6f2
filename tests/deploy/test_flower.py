"""Flower as `deploy/flower` starts it, read in a real browser: what an operator sees of pushes."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from celery import Celery

from tests.support.browser import Browser
from tests.support.certificates import Authority
from tests.support.flower import PASSWORD, START, Flower
from tests.support.images import image, index, layer
from tests.support.processes import find_program, start, wait_until
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.slow_registry import SlowRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import environment, running_worker

REDIS_PASSWORD = "made-up-for-redis"
SENT_PASSWORD = "made-up-and-sent-by-mistake"
WORKER = "celery@watched"
PUSH = "/api/task/send-task/imagepusher.push.v1"
SLOTS = 2
QUEUED = 3


@dataclass(frozen=True)
class Scene:
    """What is to be seen: pushes by their ids, from `a` to `b`."""

    flower: Flower
    browser: Browser
    a: DistributionRegistry
    b: DistributionRegistry
    slow: str
    name: str
    good: str
    failed: str
    running: str

    def task(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.flower.get(f"/api/task/info/{task_id}").json()
        return found

    def open(self, path: str) -> None:
        self.browser.open(f"{self.flower.url_with_login}{path}")

    def rows(self) -> dict[str, dict[str, str]]:
        """Return what the list of tasks shows in the browser, by task id, each row by the titles of its columns."""
        self.open("/tasks")
        wait_until(lambda: len(self.browser.texts("#tasks-table tbody tr")) > 1, "the list of tasks stays empty")
        titles = [title.lower() for title in self.browser.texts("#tasks-table thead tr:first-child th")]
        cells = self.browser.texts("#tasks-table tbody td")
        rows = [dict(zip(titles, cells[at:], strict=False)) for at in range(0, len(cells), len(titles))]
        return {row["uuid"]: row for row in rows}


@pytest.fixture(scope="module")
def scene(
    registry_a: DistributionRegistry, registry_b: DistributionRegistry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """Let one push succeed and one fail, both sent by Flower's API, a third be under way, and others wait."""
    a, b, name = registry_a, registry_b, "flower-scene"
    upload(a.host, f"{name}/app", index([image("linux/amd64"), image("linux/arm64")]), "1")
    sizes = {"linux/amd64": 8_000_000, "linux/arm64": 4_000_000}
    big = index([image(platform, [layer(f"{name}-{platform}", size)]) for platform, size in sizes.items()])
    upload(a.host, f"{name}/big", big, "1")
    with ExitStack() as running:
        server = running.enter_context(RedisServer())
        with redis.Redis(port=server.port) as client:
            client.config_set("requirepass", REDIS_PASSWORD)
        # The push that is under way stays so, however long the tests of this file take.
        patient = tmp_path_factory.mktemp("flower") / "imagepusher.toml"
        patient.write_text("[http]\nidle_timeout = 3600\n")
        # All slots may wait for one source.
        settings = {
            "IMAGEPUSHER_CONFIG": str(patient),
            "IMAGEPUSHER_BROKER_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{server.port}/0",
            "IMAGEPUSHER_REGISTRY_SHARE": "1.0",
        }
        slow = running.enter_context(SlowRegistry(a.host))
        running.enter_context(running_worker(settings, ["--concurrency", str(SLOTS), "--name", "watched"]))
        # Whatever becomes of the tests, the worker can end.
        running.callback(slow.released.set)
        # Bound beyond loopback: nothing may be open there.
        beyond = {"FLOWER_ADDRESS": "0.0.0.0"}
        flower_server = running.enter_context(Flower(settings, options=beyond))
        browser = running.enter_context(Browser())

        def push(source: str, destinations: dict[str, list[str]], *more: Any) -> str:
            request = {"items": [{"source": source, "destinations": destinations}, *more]}
            answer = flower_server.post(PUSH, {"args": [request]})
            assert answer.status_code == requests.codes.ok, answer.text
            return str(answer.json()["task-id"])

        def wait_for(task_id: str, state: str) -> None:
            wait_until(
                lambda: flower_server.get(f"/api/task/result/{task_id}").json()["state"] == state,
                f"the push never came to {state}",
            )

        app = f"{a.host}/{name}/app:1"
        good = push(app, {f"{b.host}/{name}/good": ["1", "latest"], f"{b.host}/{name}/copy": ["1"]})
        gone = {"source": f"{a.host}/{name}/gone:1", "destinations": {f"{b.host}/{name}/gone": ["1", "2"]}}
        failed = push(app, {f"{b.host}/{name}/partly": ["1"]}, gone)
        wait_for(good, "SUCCESS")
        wait_for(failed, "FAILURE")
        under_way = push(f"{slow.host}/{name}/big:1", {f"{b.host}/{name}/big": ["1"], f"{b.host}/{name}/big2": ["1"]})
        wait_until(lambda: len(_shown_progress(flower_server)) == SLOTS, "no copy ever showed its progress")
        # Whoever sends may tell of it too, in words of his own: here with what should not be in them.
        producer = Celery("careless", broker=settings["IMAGEPUSHER_BROKER_URL"], set_as_current=False)
        producer.conf.broker_transport_options = {"global_keyprefix": "imagepusher:"}
        producer.conf.task_send_sent_event = True
        for number in range(QUEUED):
            items = [{"source": app, "destinations": {f"{b.host}/{name}/queued": [str(number)]}}]
            careless = {"items": items, "target_settings": {"dest_quay_password": SENT_PASSWORD}}
            producer.send_task("imagepusher.push.v1", args=[careless], queue="imagepusher.push")
        wait_until(lambda: len(_queued(flower_server)) == QUEUED, "Flower was not told of the pushes that wait")
        yield Scene(flower_server, browser, a, b, slow.host, name, good, failed, under_way)


def _queued(flower_server: Flower) -> list[str]:
    tasks = flower_server.get("/api/tasks").json().values()
    return [task["args"] for task in tasks if "dest_quay_password" in str(task["args"])]


def _shown_progress(flower_server: Flower) -> list[str]:
    tasks = flower_server.get("/api/tasks").json().values()
    return [task["result"] for task in tasks if re.match(r"[1-9]\S* of ", str(task["result"]))]


def test_the_list_tells_a_push_its_copies_and_its_publish_apart(scene: Scene) -> None:
    rows = scene.rows()
    b = f"{scene.b.host}/{scene.name}"
    good, failed = rows[scene.good], rows[scene.failed]
    # A push stays a push, though its publish has its task id.
    shown = f"({scene.a.host}/{scene.name}/app:1 → 3 tags in 2 repositories)"
    assert (good["name"], good["args"]) == ("imagepusher.push.v1", shown)
    assert good["state"] == "SUCCESS"
    assert re.fullmatch(r"succeeded in [\d.]+ s", good["result"])
    assert (failed["name"], failed["state"]) == ("imagepusher.push.v1", "FAILURE")
    assert failed["result"] == (f"2 of 3 tags failed ({b}/gone:1: source_missing; {b}/gone:2: source_missing).")
    copies = [row for row in rows.values() if row["name"] == "imagepusher.copy.v1" and "/app@" in row["args"]]
    source = re.escape(f"{scene.a.host}/{scene.name}/app")
    assert len(copies) == 4
    for row in copies:
        assert re.fullmatch(rf"\({source}@sha256:[0-9a-f]{{6}}… → (2 repositories|1 repository)\)", row["args"])
        assert row["state"] == "SUCCESS"
        assert re.fullmatch(r"0\.0 MiB copied(; \d+ blobs? mounted)?|\d+ blobs? mounted|there already", row["result"])


def test_a_running_push_and_its_copies_show_their_progress(scene: Scene) -> None:
    rows = scene.rows()
    push = rows[scene.running]
    assert (push["name"], push["state"], push["result"]) == ("imagepusher.push.v1", "PROGRESS", "2 to copy")
    assert push["args"] == f"({scene.slow}/{scene.name}/big:1 → 2 tags in 2 repositories)"
    copies = [row for row in rows.values() if row["args"].startswith(f"({scene.slow}/{scene.name}/big@")]
    assert {row["state"] for row in copies} == {"PROGRESS"}
    assert sorted(row["result"].partition(" of ")[2] for row in copies) == ["15.3 MiB", "7.6 MiB"]


def test_a_failed_push_is_red_and_says_which_tags_failed_and_why(scene: Scene) -> None:
    """Rule 6.3."""
    scene.open(f"/task/{scene.failed}")
    badge = "#task-page .badge"
    assert scene.browser.text(badge) == "FAILURE"
    red, green, blue = scene.browser.colour(badge)
    assert red > 150 > max(green, blue)
    titles = scene.browser.texts("#task-page dt")
    page = dict(zip(titles, scene.browser.texts("#task-page dd"), strict=True))
    b = f"{scene.b.host}/{scene.name}"
    why = f"2 of 3 tags failed ({b}/gone:1: source_missing; {b}/gone:2: source_missing)."
    assert page["Exception"] == f"PushFailed('Push {scene.failed}: {why}')"
    assert page["Result"] == why
    assert why in page["Traceback"]


def test_workers_and_their_queues_are_shown(scene: Scene) -> None:
    scene.open("/workers")
    wait_until(lambda: WORKER in scene.browser.text().replace("\n", ""), "the worker is not listed")
    assert "Online" in scene.browser.text("#workers-table tbody")
    scene.open(f"/worker/{WORKER}")
    assert scene.browser.text("#workername") == WORKER
    queues = scene.browser.run("return document.querySelector('#tab-queues').textContent")
    assert [queue for queue in ("push", "copy", "publish") if f"imagepusher.{queue}" not in queues] == []


def test_the_broker_page_counts_the_messages_behind_our_prefix(scene: Scene) -> None:
    scene.open("/broker")
    rows = [text.split() for text in scene.browser.texts("#queue-table tbody tr")]
    # Every slot of the worker has a copy that waits: what was sent since waits in its queue.
    assert {row[0]: row[1] for row in rows} == {
        "imagepusher.copy": "0",
        "imagepusher.publish": "0",
        "imagepusher.push": str(QUEUED),
        "imagepusher.push.noted": "0",
    }


def test_a_push_is_sent_by_the_api_and_its_report_read(scene: Scene) -> None:
    answer = scene.flower.get(f"/api/task/result/{scene.good}").json()
    assert (answer["task-id"], answer["state"]) == (scene.good, "SUCCESS")
    report = answer["result"]
    assert (report["push_id"], report["state"]) == (scene.good, "succeeded")
    Stored(scene.b.host).holds(f"{scene.name}/good", "latest")
    refused = scene.flower.get(f"/api/task/result/{scene.failed}").json()
    assert refused["state"] == "FAILURE"
    assert "2 of 3 tags failed" in refused["result"]


def test_nothing_secret_is_shown_anywhere(scene: Scene) -> None:
    """Rule 6.7."""
    tasks = scene.flower.get("/api/tasks").json()
    paths = ["/api/tasks", "/api/workers?refresh=1", "/workers?json=1", "/workers", "/broker", f"/worker/{WORKER}"]
    paths += [f"/task/{task_id}" for task_id in tasks]
    pages = {path: scene.flower.get(path) for path in paths}
    assert {path: page.status_code for path, page in pages.items() if not page.ok} == {}
    told = {
        path for path, page in pages.items() for word in (REDIS_PASSWORD, SENT_PASSWORD, PASSWORD) if word in page.text
    }
    assert told == set()
    # It was there to be shown.
    assert len(_queued(scene.flower)) == QUEUED


def test_nothing_secret_is_in_the_log_or_the_arguments_of_the_process(scene: Scene) -> None:
    """Rule 6.7."""
    process = scene.flower.process
    told = process.log() + Path(f"/proc/{process.pid}/cmdline").read_text()
    assert [word for word in (REDIS_PASSWORD, SENT_PASSWORD, PASSWORD) if word in told] == []


def test_nothing_answers_without_the_login_beyond_loopback(scene: Scene) -> None:
    assert "http://0.0.0.0:" in scene.flower.process.log()
    handlers = importlib.import_module("flower.urls").handlers
    patterns = [rule[0] if isinstance(rule, tuple) else rule.regex.pattern for rule in handlers]
    paths = [
        re.sub(r"\(\.[+*]\)", "x", pattern.rstrip("$").replace("/?", ""))
        for pattern in patterns
        if pattern.startswith("/")
    ]
    assert {"/tasks", "/metrics", "/api/task/send-task/x"} <= set(paths)
    open_to_all = {
        (method, path)
        for path in paths
        for method, ask in (("GET", scene.flower.get), ("POST", _post_nothing(scene.flower)))
        if ask(path, login=False).status_code < 400
    }
    assert open_to_all == {("GET", "/healthcheck"), ("GET", "/logout")}
    assert scene.flower.get("/static/css/flower.css", login=False).ok
    assert scene.flower.get("/metrics").ok


def _post_nothing(server: Flower) -> Any:
    return lambda path, *, login: server.post(path, {}, login=login)


def test_without_a_login_it_serves_loopback_and_changes_nothing(redis_server: RedisServer) -> None:
    settings = {"IMAGEPUSHER_BROKER_URL": f"{redis_server.url.removesuffix('/0')}/5"}
    with running_worker(settings, ["--name", "watched"]), Flower(settings, login=False) as server:
        assert f"http://127.0.0.1:{server.port}" in server.process.log()
        assert server.get("/tasks", login=False).ok
        assert server.get("/api/tasks", login=False).status_code == requests.codes.unauthorized
        assert server.post(PUSH, {"args": [{}]}, login=False).status_code == requests.codes.unauthorized
        assert server.post(f"/api/worker/shutdown/{WORKER}", {}, login=False).status_code >= 400
        assert "worker-shutdown" not in server.get(f"/worker/{WORKER}", login=False).text


def test_queues_are_read_over_tls_too(tmp_path: Path) -> None:
    """With an authority of one's own, named in the broker's URL."""
    authority = Authority(tmp_path)
    server = authority.certificates().server
    program = find_program("redis-server", "redis-server")
    files = ["--tls-cert-file", server.certificate, "--tls-key-file", server.key, "--tls-ca-cert-file", authority.path]
    options = ["--tls-auth-clients", "no", "--save", "", "--dir", tmp_path]

    def command(port: int) -> list[str]:
        return [program, "--port", "0", "--tls-port", str(port), *map(str, files), *map(str, options)]

    encrypted = start(command, lambda process: "Ready to accept" in process.log(), tmp_path / "redis.log")
    try:
        url = f"rediss://127.0.0.1:{encrypted.port}/0?ssl_ca_certs={authority.path}"
        settings = {"IMAGEPUSHER_BROKER_URL": url}
        with running_worker(settings, ["--name", "watched"]), Flower(settings) as server_of_pages:
            assert "imagepusher.copy" in server_of_pages.get("/broker").text
    finally:
        encrypted.stop()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"FLOWER_ADDRESS": "0.0.0.0"}, "would be open to everybody"),
        ({"FLOWER_ADDRESS": "::"}, "would be open to everybody"),
        ({"FLOWER_UNAUTHENTICATED_API": "true"}, "set a login instead"),
        ({"FLOWER_BASIC_AUTH": "nobody"}, "must be user:password"),
        ({"FLOWER_BASIC_AUTH_FILE": "/none/login"}, "The file that FLOWER_BASIC_AUTH_FILE names, /none/login, cannot"),
        ({"IMAGEPUSHER_BROKER_URL": ""}, "set IMAGEPUSHER_BROKER_URL"),
    ],
)
def test_it_refuses_to_start(options: dict[str, str], complaint: str) -> None:
    told = _start(options)
    assert told.returncode == 1
    assert complaint in told.stderr
    assert "Traceback" not in told.stderr


def test_words_of_the_worker_stay_when_those_of_the_sender_come_late() -> None:
    """The events of sender and worker come over different connections, in any order."""
    state = _module().ShownEvents()
    events = {
        "task-received": {"name": "imagepusher.push.v1", "args": "a/app:1 → 1 tag", "kwargs": "{}"},
        "task-sent": {"name": "imagepusher.push.v1", "args": "({'items': …},)", "kwargs": "{}", "queue": "q"},
    }
    for clock, (kind, fields) in enumerate(events.items()):
        common = {"type": kind, "uuid": "1", "hostname": "h", "timestamp": 1.0, "local_received": 1.0, "clock": clock}
        state.event(common | fields)
    assert state.tasks["1"].args == "a/app:1 → 1 tag"


def test_a_task_that_waits_is_shown_as_waiting_though_celery_tries_it_again() -> None:
    """Rule 8.6: until it runs again and gets ahead."""
    state = _module().ShownEvents()
    events: list[tuple[str, dict[str, Any], str]] = [
        ("task-received", {"name": "imagepusher.copy.v1", "args": "", "kwargs": "{}"}, "RECEIVED"),
        ("task-started", {}, "STARTED"),
        ("task-waiting", {"result": "since …"}, "WAITING"),
        ("task-retried", {"exception": "RateLimited('busy')", "traceback": ""}, "WAITING"),
        ("task-received", {"name": "imagepusher.copy.v1", "args": "", "kwargs": "{}", "eta": "…"}, "WAITING"),
        ("task-started", {}, "WAITING"),
        ("task-progress", {"result": "1.0 of 2.0 MiB"}, "PROGRESS"),
        ("task-succeeded", {"result": "", "runtime": 1.0}, "SUCCESS"),
    ]
    for clock, (kind, fields, shown) in enumerate(events):
        common = {"type": kind, "uuid": "1", "hostname": "h", "timestamp": 1.0, "local_received": 1.0, "clock": clock}
        state.event(common | fields)
        assert state.tasks["1"].state == shown, kind


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("({'a_password': 'x y', 'quay_host': 'h'},)", "({'a_password': '***', 'quay_host': 'h'},)"),
        ("{'Docker-Token': \"it's\"}", "{'Docker-Token': '***'}"),
        # As Celery cuts long arguments.
        ("({'secret': 'begun and never en...", "({'secret': '***'"),
        ("redis://user:x@host/0 refused", "redis://***@host/0 refused"),
        ("127.0.0.1/app@sha256:ab12cd… → 1 tag", "127.0.0.1/app@sha256:ab12cd… → 1 tag"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, shown: str) -> None:
    """Rule 6.7."""
    assert _module().masked({"type": "task-sent", "args": text, "clock": 1}) == {
        "type": "task-sent",
        "args": shown,
        "clock": 1,
    }


def _module() -> Any:
    spec = importlib.util.spec_from_file_location("flower_start", START)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_takes_no_arguments(tmp_path: Path) -> None:
    told = _start({}, "--address=0.0.0.0")
    assert told.returncode == 1
    assert "No arguments" in told.stderr


def _start(options: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    # Nothing listens there: whoever gets that far fails in another way.
    settings = {"IMAGEPUSHER_BROKER_URL": "redis://127.0.0.1:1/0", "FLOWER_PORT": "0"}
    return subprocess.run(
        [sys.executable, str(START), *arguments],
        env=environment(settings | options),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
