"""`imagepusher doctor` on setups that work, and on broken ones: each has its finding, with what to do."""

import base64
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from tests.conftest import MakeRegistry
from tests.support.certificates import Authority
from tests.support.commands import Ended, run
from tests.support.processes import free_port, wait_until
from tests.support.redis_server import RedisServer
from tests.support.registries import BasicAuth, DistributionRegistry, TokenAuth
from tests.support.scripted import Answer, Exchange, Received, ScriptedRegistry
from tests.support.token_server import TokenServer
from tests.support.workers import running_worker
from workers.process.roster import Roster

USER: Final = "robot"
PASSWORD: Final = "not-to-be-shown"


class Doctor:
    """Somebody with a folder of their own who runs `imagepusher doctor`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = {
            "IMAGEPUSHER_STATE_DIR": str(folder / "state"),
            "REGISTRY_AUTH_FILE": str(folder / "none.json"),
        }

    def configure(self, text: str) -> None:
        """Let a settings file say this."""
        file = self.folder / "settings.toml"
        file.write_text(text)
        file.chmod(0o600)
        self.settings["IMAGEPUSHER_CONFIG"] = str(file)

    def __call__(self, *arguments: str) -> "Diagnosed":
        return Diagnosed(run("doctor", "--output", "json", *arguments, settings=self.settings))


class Diagnosed:
    """What came of it; no output holds the password of these tests."""

    def __init__(self, ended: Ended) -> None:
        assert PASSWORD not in ended.stdout + ended.stderr
        self.code = ended.code
        self.stderr = ended.stderr
        self.findings: list[dict[str, Any]] = ended.document["findings"]

    def of(self, *levels: str) -> list[tuple[str, str]]:
        """Return check and place of the findings of these levels."""
        return [(each["check"], each["where"]) for each in self.findings if each["level"] in levels]

    def only(self, level: str) -> dict[str, Any]:
        """Return the only finding of a level."""
        (finding,) = (each for each in self.findings if each["level"] == level)
        assert finding["found"]
        assert finding["advice"]
        return finding


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    return Doctor(tmp_path)


def registry_table(host: str, *lines: str) -> str:
    return "\n".join((f'[registries."{host}"]', *lines, ""))


def target_table(host: str, namespace: str = "team") -> str:
    return f'[targets.prod]\nhost = "{host}"\nnamespace = "{namespace}"\n'


CREDENTIALS: Final = (f'username = "{USER}"', f'password = "{PASSWORD}"')


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Share a Redis as it should be, with one worker that serves all queues."""
    with RedisServer(appendonly=True) as running, running_worker({"IMAGEPUSHER_BROKER_URL": running.url}):
        yield running


@contextmanager
def configured(server: RedisServer, **settings: str) -> Iterator[redis.Redis]:
    """Let a Redis have other settings within the block."""
    with redis.Redis(port=server.port) as client:
        before = {name: client.config_get(name)[name] for name in settings}
        for name, value in settings.items():
            client.config_set(name, value)
        try:
            yield client
        finally:
            for name, value in before.items():
                client.config_set(name, value)


def test_a_good_setup_without_a_broker_has_no_fault_and_ends_with_0(
    doctor: Doctor, registry_b: DistributionRegistry, name: str
) -> None:
    doctor.configure(target_table(registry_b.host, name))
    diagnosed = doctor()
    assert diagnosed.code == 0
    assert diagnosed.of("warning", "error") == []
    assert ("registry.push", f"{registry_b.host}/{name}/imagepusher-doctor") in diagnosed.of("ok")
    assert ("state_dir.writable", doctor.settings["IMAGEPUSHER_STATE_DIR"]) in diagnosed.of("ok")


def test_a_good_setup_with_a_broker_has_no_fault_and_ends_with_0(
    doctor: Doctor, server: RedisServer, registry_b: DistributionRegistry, name: str
) -> None:
    doctor.settings["IMAGEPUSHER_BROKER_URL"] = server.url
    diagnosed = doctor(f"{registry_b.host}/{name}")
    assert diagnosed.of("warning", "error") == []
    assert diagnosed.code == 0
    place = f"Redis 127.0.0.1:{server.port}/0"
    found = diagnosed.of("ok")
    for check in ("redis.reachable", "redis.writable", "redis.persistence", "redis.eviction"):
        assert (check, place) in found
    for queue in ("push", "copy", "publish"):
        assert ("queues.served", f"imagepusher.{queue}") in found
    assert ("workers.versions", "workers") in found
    assert len([where for check, where in found if check == "clock"]) == 3


def test_what_was_opened_is_cancelled_and_nothing_is_left(doctor: Doctor, make_registry: MakeRegistry) -> None:
    registry = make_registry()
    assert doctor(f"{registry.host}/team").code == 0
    uploads = [(each.method, each.status) for each in registry.requests() if "/uploads/" in each.path]
    assert uploads == [("POST", 202), ("DELETE", 204)]
    assert not list(registry.storage.rglob("_uploads/*/data"))


def test_read_only_opens_nothing_and_asks_for_pull_scope_only(doctor: Doctor, make_registry: MakeRegistry) -> None:
    with TokenServer({USER: PASSWORD}) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        doctor.configure(registry_table(registry.host, *CREDENTIALS) + target_table(registry.host))
        diagnosed = doctor("--read-only")
        assert diagnosed.code == 0
        assert ("registry.pull", f"{registry.host}/team/imagepusher-doctor") in diagnosed.of("ok")
        assert diagnosed.of("unknown") == [("registry.push", f"{registry.host}/team/imagepusher-doctor")]
        assert not [each for each in registry.requests() if each.method not in {"GET", "HEAD"}]
        assert set(tokens.scopes) == {"repository:team/imagepusher-doctor:pull"}


def test_a_redis_that_is_down_is_an_error(doctor: Doctor) -> None:
    port = free_port()
    doctor.settings["IMAGEPUSHER_BROKER_URL"] = f"redis://{USER}:{PASSWORD}@127.0.0.1:{port}/0"
    diagnosed = doctor()
    assert diagnosed.code == 1
    finding = diagnosed.only("error")
    assert (finding["check"], finding["where"]) == ("redis.reachable", f"Redis 127.0.0.1:{port}/0")
    assert "broker.url" in finding["advice"]


def test_a_redis_that_refuses_the_password_is_an_error(doctor: Doctor, redis_server: RedisServer) -> None:
    doctor.settings["IMAGEPUSHER_BROKER_URL"] = f"redis://{USER}:{PASSWORD}@127.0.0.1:{redis_server.port}/0"
    finding = doctor().only("error")
    assert finding["check"] == "redis.reachable"
    assert "password" in finding["advice"]


def test_a_rabbitmq_that_is_down_is_an_error(doctor: Doctor, server: RedisServer) -> None:
    port = free_port()
    doctor.settings["IMAGEPUSHER_BROKER_URL"] = f"amqp://{USER}:{PASSWORD}@127.0.0.1:{port}//"
    doctor.settings["IMAGEPUSHER_RESULT_URL"] = server.url
    diagnosed = doctor()
    assert diagnosed.code == 1
    finding = diagnosed.only("error")
    assert (finding["check"], finding["where"]) == ("broker.reachable", f"RabbitMQ 127.0.0.1:{port}//")


def test_a_redis_that_may_evict_keys_is_an_error(doctor: Doctor, server: RedisServer) -> None:
    doctor.settings["IMAGEPUSHER_BROKER_URL"] = server.url
    with configured(server, **{"maxmemory-policy": "allkeys-lru"}):
        diagnosed = doctor()
    assert diagnosed.code == 1
    finding = diagnosed.only("error")
    assert finding["check"] == "redis.eviction"
    assert "allkeys-lru" in finding["found"]
    assert "noeviction" in finding["advice"]


def test_a_redis_that_is_full_is_an_error(doctor: Doctor, server: RedisServer) -> None:
    doctor.settings["IMAGEPUSHER_BROKER_URL"] = server.url
    with configured(server, maxmemory="1mb"):
        diagnosed = doctor()
    assert diagnosed.code == 1
    place = f"Redis 127.0.0.1:{server.port}/0"
    assert ("redis.writable", place) in diagnosed.of("error")
    # The worker cannot tell of itself either: after a while it counts as gone.
    assert {check for check, _ in diagnosed.of("error")} <= {"redis.writable", "queues.served"}
    assert ("redis.memory", place) in diagnosed.of("warning")


@pytest.mark.parametrize(("save", "word"), [("", "nothing"), ("3600 1", "snapshots")])
def test_a_redis_without_an_append_only_file_is_a_warning(
    doctor: Doctor, server: RedisServer, registry_b: DistributionRegistry, save: str, word: str
) -> None:
    doctor.settings["IMAGEPUSHER_BROKER_URL"] = server.url
    with configured(server, appendonly="no", save=save):
        diagnosed = doctor(registry_b.host)
    assert diagnosed.code == 0
    finding = diagnosed.only("warning")
    assert finding["check"] == "redis.persistence"
    assert word in finding["found"]


def test_a_queue_that_nobody_serves_and_two_versions_are_named(
    doctor: Doctor, redis_server: RedisServer, registry_b: DistributionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.flush()
    doctor.settings["IMAGEPUSHER_BROKER_URL"] = redis_server.url
    with redis.Redis(port=redis_server.port) as client:
        members = [Roster(client, "new@here", ["imagepusher.push"])]
        monkeypatch.setattr("workers.process.roster.version", lambda _: "0.0.1")
        members.append(Roster(client, "old@here", ["imagepusher.publish"], clock=lambda: time.time() - 100))
        # Both have told of themselves, and do so again until the doctor has looked.
        for member in members:
            member.tell()
            member.start()
        try:
            diagnosed = doctor(registry_b.host)
        finally:
            for member in members:
                member.stop()
            wait_until(lambda: not client.hlen("imagepusher:workers"), "the workers did not leave")
    assert diagnosed.code == 1
    assert ("queues.served", "imagepusher.copy") in diagnosed.of("error")
    assert ("clock", "worker old@here") in diagnosed.of("error")
    assert {("queues.served", "imagepusher.push"), ("queues.served", "imagepusher.publish")} <= set(diagnosed.of("ok"))
    (versions,) = (each for each in diagnosed.findings if each["check"] == "workers.versions")
    assert versions["level"] == "warning"
    assert "0.0.1 (1)" in versions["found"]
    (unserved,) = (each for each in diagnosed.findings if each["where"] == "imagepusher.copy")
    assert "imagepusher worker --queues copy" in unserved["advice"]


def test_a_wrong_password_at_a_registry_is_an_error(doctor: Doctor, make_registry: MakeRegistry) -> None:
    registry = make_registry(auth=BasicAuth({USER: "another one"}))
    doctor.configure(registry_table(registry.host, *CREDENTIALS) + target_table(registry.host))
    diagnosed = doctor()
    assert diagnosed.code == 1
    finding = diagnosed.only("error")
    assert (finding["check"], finding["where"]) == ("registry.credentials", registry.host)
    assert f'[registries."{registry.host}"]' in finding["advice"]
    assert USER not in json.dumps(diagnosed.findings)


@pytest.mark.parametrize("form", ["variable", "option", "authfile"])
def test_the_credentials_are_those_that_a_push_would_use(
    doctor: Doctor, make_registry: MakeRegistry, form: str
) -> None:
    """Rule 8.2."""
    registry = make_registry(auth=BasicAuth({USER: PASSWORD}))
    place, arguments = f"{registry.host}/team", list[str]()
    if form == "variable":
        doctor.settings["IMAGEPUSHER_DEST_CREDS"] = f"{USER}:{PASSWORD}"
    elif form == "option":
        arguments = ["--dest-creds", f"{USER}:{PASSWORD}"]
    else:
        file = doctor.folder / "auth.json"
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        file.write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        arguments = ["--authfile", str(file)]
    diagnosed = doctor(place, *arguments)
    assert diagnosed.of("error") == []
    assert ("registry.push", f"{place}/imagepusher-doctor") in diagnosed.of("ok")


def test_what_a_worker_lacks_is_an_error(
    doctor: Doctor, server: RedisServer, make_registry: MakeRegistry, tmp_path: Path
) -> None:
    """The operator's own settings are not those that count."""
    authority = Authority(tmp_path / "pki")
    registry = make_registry(tls=authority.certificates())
    doctor.settings["IMAGEPUSHER_BROKER_URL"] = server.url
    doctor.configure(registry_table(registry.host, f'ca_file = "{authority.path}"') + target_table(registry.host))
    diagnosed = doctor()
    assert diagnosed.code == 1
    finding = diagnosed.only("error")
    assert (finding["check"], finding["where"]) == ("workers.registry", registry.host)
    assert "lacks what is set here: ca_file" in finding["found"]


def test_what_workers_know_of_a_registry_that_is_named_only_here_is_unknown(
    doctor: Doctor, server: RedisServer, registry_b: DistributionRegistry
) -> None:
    doctor.settings["IMAGEPUSHER_BROKER_URL"] = server.url
    diagnosed = doctor(f"{registry_b.host}/team")
    assert diagnosed.code == 0
    assert diagnosed.of("unknown") == [("workers.registry", registry_b.host)]
    shown = run("doctor", f"{registry_b.host}/team", settings=doctor.settings)
    assert "A push would work" not in shown.stdout


def test_each_role_is_asked_for_where_their_credentials_differ(doctor: Doctor, make_registry: MakeRegistry) -> None:
    registry = make_registry(auth=BasicAuth({USER: PASSWORD}))
    wrong = f'[registries."{registry.host}".source]\nusername = "reader"\npassword = "{PASSWORD}"\n'
    doctor.configure(registry_table(registry.host, *CREDENTIALS) + wrong + target_table(registry.host))
    diagnosed = doctor()
    assert diagnosed.of("error") == [("registry.credentials", f"{registry.host} as source")]
    assert ("registry.credentials", f"{registry.host} as destination") in diagnosed.of("ok")
    assert ("registry.push", f"{registry.host}/team/imagepusher-doctor") in diagnosed.of("ok")


def test_a_registry_that_is_down_is_an_error(doctor: Doctor) -> None:
    host = f"127.0.0.1:{free_port()}"
    doctor.configure(target_table(host))
    diagnosed = doctor()
    assert diagnosed.code == 1
    finding = diagnosed.only("error")
    assert (finding["check"], finding["where"]) == ("registry.reachable", host)


def test_a_certificate_that_nobody_vouches_for_is_an_error_that_names_ca_file(
    doctor: Doctor, make_registry: MakeRegistry, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "pki")
    registry = make_registry(tls=authority.certificates())
    doctor.configure(target_table(registry.host))
    diagnosed = doctor()
    assert diagnosed.code == 1
    finding = diagnosed.only("error")
    assert (finding["check"], finding["where"]) == ("registry.tls", registry.host)
    assert "ca_file" in finding["advice"]
    doctor.configure(registry_table(registry.host, f'ca_file = "{authority.path}"') + target_table(registry.host))
    assert doctor().code == 0
    doctor.configure(registry_table(registry.host, "tls_verify = false") + target_table(registry.host))
    assert doctor().only("warning")["check"] == "registry.tls"


def test_plain_http_where_tls_is_wanted_is_an_error_that_names_plain_http(
    doctor: Doctor, registry_b: DistributionRegistry
) -> None:
    doctor.configure(registry_table(registry_b.host, "plain_http = false") + target_table(registry_b.host))
    diagnosed = doctor()
    assert diagnosed.code == 1
    finding = diagnosed.only("error")
    assert (finding["check"], finding["where"]) == ("registry.tls", registry_b.host)
    assert f'set `plain_http = true` in [registries."{registry_b.host}"]' in finding["advice"]
    assert "ca_file" not in finding["advice"]


def test_who_may_not_push_is_told_so(doctor: Doctor, make_registry: MakeRegistry) -> None:
    def may_look(_: str | None, __: str, actions: frozenset[str]) -> Iterable[str]:
        return actions & {"pull"}

    with TokenServer({USER: PASSWORD}, policy=may_look) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        doctor.configure(registry_table(registry.host, *CREDENTIALS) + target_table(registry.host))
        diagnosed = doctor()
        assert diagnosed.code == 1
        finding = diagnosed.only("error")
        where = f"{registry.host}/team/imagepusher-doctor"
        assert (finding["check"], finding["where"]) == ("registry.push", where)
        assert "create repositories" in finding["advice"]
        assert ("registry.credentials", registry.host) in diagnosed.of("ok")


@pytest.mark.parametrize(("seconds", "level", "code"), [(-30, "warning", 0), (120, "error", 1)])
def test_a_clock_that_differs_from_that_of_a_registry_is_told(
    doctor: Doctor, seconds: int, level: str, code: int
) -> None:
    def dated(_: Received) -> Answer:
        return Answer(200, {"Date": formatdate(time.time() - seconds, usegmt=True)})

    with ScriptedRegistry(
        Exchange("GET", "/v2/", dated, times=None),
        Exchange("POST", "/v2/team/imagepusher-doctor/blobs/uploads/", Answer(202, {"Location": "/v2/upload?state=1"})),
        Exchange("DELETE", "/v2/upload?state=1", Answer(405)),
    ) as registry:
        diagnosed = doctor(f"{registry.host}/team")
    assert diagnosed.code == code
    finding = diagnosed.only(level)
    assert finding["check"] == "clock"
    assert ("ahead" if seconds > 0 else "behind") in finding["found"]
    assert registry.host in finding["found"]
    (push,) = (each for each in diagnosed.findings if each["check"] == "registry.push")
    assert "left to expire" in push["found"]


def test_a_state_folder_that_cannot_be_written_is_an_error(doctor: Doctor, registry_b: DistributionRegistry) -> None:
    (doctor.folder / "file").write_text("")
    doctor.settings["IMAGEPUSHER_STATE_DIR"] = str(doctor.folder / "file" / "state")
    diagnosed = doctor(registry_b.host)
    assert diagnosed.code == 1
    finding = diagnosed.only("error")
    assert finding["check"] == "state_dir.writable"
    assert "IMAGEPUSHER_STATE_DIR" in finding["advice"]


def test_settings_that_are_invalid_and_places_that_are_none_end_with_2(doctor: Doctor) -> None:
    assert run("doctor", "team/app", settings=doctor.settings).code == 2
    doctor.configure("[broker]\nurll = 1")
    ended = run("doctor", settings=doctor.settings)
    assert ended.code == 2
    assert "broker.urll" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_people_read_each_finding_with_what_to_do(doctor: Doctor) -> None:
    host = f"127.0.0.1:{free_port()}"
    ended = run("doctor", f"{host}/team", settings=doctor.settings)
    assert ended.code == 1
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["ok", "error"]
    assert lines[1].startswith(f"error   {host}: ")
    assert lines[2].startswith("        → ")
    assert lines[-1] == "A push would not work: 2 findings, 1 error, 0 warnings."
    assert ended.stderr == ""


def test_the_verdict_promises_no_push_where_no_registry_was_examined(
    doctor: Doctor, registry_b: DistributionRegistry, name: str
) -> None:
    ended = run("doctor", settings=doctor.settings)
    assert ended.code == 0
    assert "would work" not in ended.stdout
    assert ended.stdout.splitlines()[-1] == (
        "No registry was examined (name HOST/NAMESPACE, or configure a target); nothing else is amiss:"
        " 2 findings, 0 errors, 1 warning."
    )
    examined = run("doctor", f"{registry_b.host}/{name}", settings=doctor.settings)
    assert examined.stdout.splitlines()[-1].startswith("A push would work: ")
