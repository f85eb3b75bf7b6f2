"""`deploy/compose.yaml`: what it says is a compose file, and what it starts works, with these users of Redis."""

import hmac
import importlib.resources
import json
import re
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
import requests
import yaml
from celery import Celery
from kombu.serialization import dumps

from tasks.contract import ENDED
from tests.deploy.local import DEPLOY, Machine, Started, ask_to_end, make_secrets
from tests.support.images import image, index
from tests.support.processes import find_program, free_port, wait_until
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from workers.settings.document import LimitsTable

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = ("push", "copy", "publish")
OURS = (*WORKERS, "page", "flower")


def test_it_is_a_compose_file() -> None:
    vendored = importlib.resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json")
    jsonschema.Draft7Validator(json.loads(vendored.read_text())).validate(COMPOSE)


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["image"] == "imagepusher" or "@sha256:" in service["image"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", OURS)
def test_secrets_are_files_and_nothing_else(name: str) -> None:
    """Rule 6.7."""
    service = SERVICES[name]
    files = {f"/run/secrets/{secret}" for secret in service["secrets"]}
    named = {value for value in service["environment"].values() if value.startswith("/run/secrets/")}
    assert named == files
    assert all(COMPOSE["secrets"][secret]["file"] == f"./secrets/{secret}" for secret in service["secrets"])


def test_a_worker_has_time_to_end() -> None:
    for name in WORKERS:
        seconds = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert seconds >= LimitsTable().grace_seconds + 15


def test_the_health_check_outlasts_the_outage_that_workers_ride_out() -> None:
    minutes = int(SERVICES["copy"]["healthcheck"]["test"][1].partition("-mmin -")[2].split()[0])
    assert minutes * 60 > LimitsTable().outage_seconds + 60


@dataclass(frozen=True)
class Project:
    """All services but the registries and Prometheus, running here."""

    machine: Machine
    secrets: Path
    redis_port: int
    metrics: Mapping[str, int]
    flower: str
    page: str

    def admin(self) -> redis.Redis:
        return redis.Redis(port=self.redis_port, username="admin", password="made-up", decode_responses=True)

    def producer(self) -> Celery:
        url = (self.secrets / "producer_url").read_text().strip()
        app = Celery("somebody", broker=url, backend=url, set_as_current=False)
        app.conf.broker_transport_options = {"global_keyprefix": "imagepusher:"}
        app.conf.result_backend_transport_options = {"global_keyprefix": "imagepusher:"}
        return app

    def send(self, request: dict[str, Any]) -> Any:
        """Send a push as deploy/examples does, signed by the key that was made for the producer."""
        task_id = str(uuid.uuid4())
        options = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        body = dumps(([request], {}, options), serializer="json")[2]
        text = f"imagepusher.push.v1\n{task_id}\n{body}".encode()
        signed = hmac.new((self.secrets / "producer_key").read_bytes(), text, "sha256").hexdigest()
        headers = {"imagepusher_signature": f"producer:{signed}"}
        return self.producer().send_task(
            "imagepusher.push.v1", args=[request], queue="imagepusher.push", task_id=task_id, headers=headers
        )

    def operator(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run the command line in a worker's container."""
        words = [*SERVICES["push"].get("entrypoint", ["imagepusher"]), *arguments]
        return subprocess.run(
            self.machine.command(words),
            env=self.machine.environment(SERVICES["push"]["environment"]),
            capture_output=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("compose")
    port, page_port, flower_port = free_port(), free_port(), free_port()
    secrets = make_secrets(folder / "secrets", f"127.0.0.1:{port}")
    # One who may read ACL LOG, for the tests.
    users = secrets / "users.acl"
    users.write_text(f"{users.read_text()}user admin on >made-up allcommands allkeys allchannels\n")
    (folder / "data").mkdir()
    moved = {
        "/run/secrets": str(secrets),
        "/etc/redis": str(folder),
        "/data": str(folder / "data"),
        "/opt/imagepusher": str(DEPLOY),
        "5555": str(flower_port),
        "5556": str(page_port),
    }
    machine = Machine(folder, moved)
    (folder / "redis.conf").write_text(machine.here((DEPLOY / "redis" / "redis.conf").read_text()))
    metrics = {name: free_port() for name in WORKERS}
    processes: list[Started] = []
    with ExitStack() as running:
        server = SERVICES["redis"]
        find_program("redis-server", "redis-server")
        running.enter_context(
            machine.running("redis", [*server["command"], "--port", str(port), "--bind", "127.0.0.1"], {})
        )
        program, *words = _check(server)
        machine.wait_for("redis", [program, "-p", str(port), *words], {})
        for name in WORKERS:
            own = _machine_of(machine, name, metrics[name])
            service = SERVICES[name]
            command = ["imagepusher", *service["command"]]
            processes.append(running.enter_context(own.running(name, command, service["environment"])))
        for name in WORKERS:
            own = _machine_of(machine, name, metrics[name])
            own.wait_for(name, _check(SERVICES[name]), SERVICES[name]["environment"])
        for name in ("flower", "page"):
            service = SERVICES[name]
            command = [*service.get("entrypoint", ["imagepusher"]), *service["command"]]
            processes.append(running.enter_context(machine.running(name, command, service["environment"])))
        running.callback(ask_to_end, processes)
        for name in ("flower", "page"):
            machine.wait_for(name, _check(SERVICES[name]), SERVICES[name]["environment"])
        page = f"http://127.0.0.1:{page_port}"
        yield Project(machine, secrets, port, metrics, f"http://127.0.0.1:{flower_port}", page)


def _machine_of(machine: Machine, name: str, metrics_port: int) -> Machine:
    """Return a machine on which a container has its own tmpfs and its own address."""
    run = machine.folder / f"run-{name}"
    run.mkdir(exist_ok=True)
    return Machine(machine.folder, machine.moved | {"/run/imagepusher": str(run), ":9540": f"127.0.0.1:{metrics_port}"})


def _check(service: dict[str, Any]) -> list[str]:
    kind, *words = service["healthcheck"]["test"]
    return ["sh", "-c", *words] if kind == "CMD-SHELL" else words


@dataclass(frozen=True)
class Work:
    """What was done with the project: a push by a producer, looks at it by an operator and by Flower, a recovery."""

    report: dict[str, Any]
    operator: Mapping[str, subprocess.CompletedProcess[bytes]]
    closed: int
    queues: str
    metrics: Mapping[str, str]
    restored: bool
    pages: Mapping[str, requests.Response]


@pytest.fixture(scope="module")
def work(project: Project, registry_a: DistributionRegistry, registry_b: DistributionRegistry) -> Work:
    upload(registry_a.host, "compose/app", index([image("linux/amd64"), image("linux/arm64")]), "1")
    upload(registry_b.host, "compose/app", index([image("linux/s390x")]), "merged")
    item = {
        "source": f"{registry_a.host}/compose/app:1",
        "destinations": {f"{registry_b.host}/compose/app": ["1", "merged"], f"{registry_b.host}/compose/b": ["1"]},
    }
    result = project.send({"items": [item]})
    report = result.get(timeout=300)
    commands = (("status",), ("verify", result.id), ("undo", result.id, "--yes"))
    operator = {command[0]: project.operator(*command) for command in commands}
    user, _, password = (project.secrets / "flower_login").read_text().strip().partition(":")
    with requests.Session() as session:
        session.trust_env = False
        closed = session.get(f"{project.flower}/tasks", timeout=10).status_code
        session.auth = (user, password)
        queues = session.get(f"{project.flower}/broker", timeout=10).text
        session.get(f"{project.flower}/api/workers?refresh=1", timeout=30)
        metrics = {
            name: session.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
            for name, port in project.metrics.items()
        }
    return Work(report, operator, closed, queues, metrics, _recover(project), _look_at(project, result.id))


def _look_at(project: Project, push_id: str) -> dict[str, requests.Response]:
    """Look at a push on the page, without the login and with it; send it again from there, and undo it."""
    user, _, password = (project.secrets / "page_login").read_text().strip().partition(":")
    address = f"{project.page}/pushes/{push_id}"
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Accept"] = "application/json"
        closed = session.get(address, timeout=10)
        session.auth = (user, password)
        shown = session.get(address, timeout=10)
        told = _act(session, project.page, push_id, "retry")
        wait_until(lambda: session.get(address, timeout=10).json()["state"] in ENDED, "the push was not sent again")
        again = session.get(address, timeout=10)
        _act(session, project.page, push_id, "undo")
        wait_until(lambda: session.get(address, timeout=10).json()["state"] == "undone", "the push was not undone")
    return {"closed": closed, "shown": shown, "told": told, "again": again}


def _act(session: requests.Session, page: str, push_id: str, action: str) -> requests.Response:
    address = f"{page}/pushes/{push_id}/{action}"
    token = session.get(address, timeout=30).json()["token"]
    return session.post(address, data={"token": token}, headers={"Origin": page}, timeout=10)


def _recover(project: Project) -> bool:
    """Give back what a worker took and never acknowledged, as other workers do when its time is over."""
    url = (project.secrets / "imagepusher.toml").read_text().split('"')[1]
    app = Celery("recovery", broker=url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": "imagepusher:", "visibility_timeout": 0}
    with app.connection() as connection:
        queue: Any = connection.SimpleQueue("imagepusher.copy.tests")
        queue.put({"number": 1})
        taken = queue.get(timeout=10)
        queue.channel.qos.restore_visible(interval=1)
        again = queue.get(timeout=10)
        again.ack()
        queue.close()
    return bool(taken.payload == again.payload)


def test_a_push_goes_through_all_of_them(project: Project, work: Work, registry_b: DistributionRegistry) -> None:
    assert work.report["state"] == "succeeded"
    assert {name: done.stderr.decode() for name, done in work.operator.items() if done.returncode} == {}
    assert Stored(registry_b.host).tags("compose/b") == []
    # The publish of a push goes by the name of the push.
    tasks = {"push": "push", "copy": "copy", "publish": "push"}
    logs = {name: project.machine.log(name).read_text() for name in WORKERS}
    assert [name for name, log in logs.items() if f"Task imagepusher.{tasks[name]}.v1[" in log] == list(WORKERS)


def test_every_worker_tells_prometheus(work: Work) -> None:
    (scrape,) = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    (discovered,) = scrape["dns_sd_configs"]
    assert sorted(discovered["names"]) == sorted(WORKERS)
    for name in WORKERS:
        assert SERVICES[name]["environment"]["IMAGEPUSHER_METRICS_ADDRESS"] == f":{discovered['port']}"
        assert "imagepusher_queue_length" in work.metrics[name]


def test_flower_asks_for_the_login_and_reads_the_queues(work: Work) -> None:
    assert work.closed == requests.codes.unauthorized
    assert "imagepusher.copy" in work.queues


def test_the_page_asks_for_the_login_shows_the_push_and_sends_it_again(work: Work) -> None:
    assert work.pages["closed"].status_code == requests.codes.unauthorized
    assert work.pages["shown"].json()["state"] == "undone"
    assert work.pages["told"].status_code == requests.codes.accepted
    assert work.pages["again"].json()["state"] == "succeeded", work.pages["again"].json()["failures"]


def test_nothing_is_written_but_the_heartbeat(project: Project, work: Work) -> None:
    """So that the root file systems can be read-only."""
    heartbeats = {project.machine.folder / f"run-{name}" / "heartbeat" for name in WORKERS}
    assert {path for path in project.machine.written() if "coverage" not in path.name} == heartbeats


def test_no_user_of_redis_lacks_a_command_a_key_or_a_channel(project: Project, work: Work) -> None:
    assert work.restored
    with project.admin() as client:
        assert [(entry["username"], entry["object"]) for entry in client.acl_log()] == []


def test_no_user_of_redis_has_a_command_that_nobody_uses(project: Project, work: Work) -> None:
    with project.admin() as client:
        used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    granted = {
        command
        for line in (DEPLOY / "redis" / "users.acl").read_text().splitlines()
        if line.startswith("user ") and not line.startswith(("user scaler", "user default"))
        for command in re.findall(r"\+([^\s)]+)", line)
    }
    # Another database; `doctor`; a client that lost Redis while it waited; an end in the middle of a transaction; a
    # lease that is held for long, or looked at by the watchdog.
    rarely = {"select", "info", "mget", "punsubscribe", "discard", "unwatch", "pexpire", "exists"}
    assert granted - used <= rarely


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("health", ("GET", "imagepusher:x")),
        ("imagepusher", ("FLUSHALL",)),
        ("imagepusher", ("KEYS", "*")),
        ("imagepusher", ("CONFIG", "GET", "*")),
        ("imagepusher", ("GET", "others:x")),
        ("flower", ("HGETALL", "imagepusher:pushes")),
        ("flower", ("GET", "imagepusher:push:1")),
        ("producer", ("BRPOP", "imagepusher:imagepusher.push", "1")),
        ("producer", ("LPUSH", "imagepusher:imagepusher.copy", "x")),
        ("scaler", ("LPUSH", "imagepusher:imagepusher.copy", "x")),
    ],
)
def test_users_of_redis_may_do_nothing_else(project: Project, user: str, command: tuple[str, ...]) -> None:
    with project.admin() as client:
        answer: Any = client.acl_dryrun(user, *command)
        assert "no permissions" in str(answer)
        assert str(client.acl_dryrun("imagepusher", "HGETALL", "imagepusher:pushes")) == "OK"
