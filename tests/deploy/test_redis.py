"""`deploy/redis`: what a Redis with this configuration and these users keeps, and whom it lets do what."""

import json
import os
import re
import shlex
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.deploy.local import DEPLOY, make_secrets
from tests.docs.readme import operating
from tests.docs.test_producers import LANGUAGES, PRODUCERS
from tests.support import processes
from tests.support.processes import Process, free_port, wait_until
from tests.support.workers import environment

PREFIX = "imagepusher:"


@dataclass
class Deployed:
    """A Redis with the configuration and the users of deploy/redis; `admin` may do anything, for the tests."""

    folder: Path
    port: int
    process: Process | None = None

    def start(self) -> None:
        options = {
            "--bind": "127.0.0.1",
            "--dir": str(self.folder),
            "--aclfile": str(self.folder / "secrets" / "users.acl"),
        }
        words = [text for option in options.items() for text in option]
        program = processes.find_program("redis-server", "redis-server")
        self.process = processes.start(
            lambda port: [program, str(DEPLOY / "redis" / "redis.conf"), "--port", str(port), *words],
            lambda _: self._answers(),
            self.folder / "redis.log",
            port=self.port,
        )

    def stop(self) -> None:
        assert self.process is not None
        self.process.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _answers(self) -> bool:
        try:
            with self.client("admin") as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def url(self, user: str) -> str:
        if user == "admin":
            return f"redis://admin:made-up@127.0.0.1:{self.port}/0"
        secrets = self.folder / "secrets"
        if (secrets / f"{user}_url").exists():
            return (secrets / f"{user}_url").read_text().strip()
        url: str = tomllib.loads((secrets / f"{user}.toml").read_text())["broker"]["url"]
        return url

    def client(self, user: str) -> redis.Redis:
        return redis.Redis.from_url(self.url(user), decode_responses=True, socket_timeout=300)

    def app(self, user: str, **options: Any) -> Celery:
        app = Celery("somebody", broker=self.url(user), set_as_current=False)
        app.conf.broker_transport_options = {"global_keyprefix": PREFIX, **options}
        return app

    def refused(self) -> list[tuple[str, str]]:
        """Return who was refused what since it was asked last."""
        with self.client("admin") as client:
            log = [(entry["username"], entry["object"]) for entry in client.acl_log()]
            client.acl_log_reset()
        return log


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    port = free_port()
    secrets = make_secrets(tmp_path / "secrets", f"127.0.0.1:{port}")
    with (secrets / "users.acl").open("a") as users:
        users.write("user admin on >made-up allcommands allkeys allchannels\n")
    server = Deployed(tmp_path, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_what_was_written_together_outlasts_a_restart(deployed: Deployed) -> None:
    """Redis reads its append-only file as its default user, and leaves out of MULTI what that one may not do."""
    with deployed.client("imagepusher") as client, client.pipeline(transaction=True) as pipe:
        pipe.set(f"{PREFIX}push:1", "done").hset(f"{PREFIX}pushes", "1", "done").lpush(f"{PREFIX}imagepusher.push", "m")
        pipe.execute()
        deployed.restart()
        assert client.get(f"{PREFIX}push:1") == "done"
        assert client.hgetall(f"{PREFIX}pushes") == {"1": "done"}
        assert client.lrange(f"{PREFIX}imagepusher.push", 0, -1) == ["m"]
    assert "NOPERM" not in (deployed.folder / "redis.log").read_text()


def test_who_has_no_password_may_ask_whether_redis_lives_and_nothing_else(deployed: Deployed) -> None:
    with redis.Redis(port=deployed.port, username="health", password="none") as client:
        assert client.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.get(f"{PREFIX}x")
    for username, password in ((None, None), ("default", ""), ("default", "none")):
        nobody = redis.Redis(port=deployed.port, username=username, password=password, retry=Retry(NoBackoff(), 0))
        with nobody, pytest.raises(redis.AuthenticationError):
            nobody.ping()


def test_other_machines_are_let_in(deployed: Deployed) -> None:
    """Protected mode, in which a default user without a password puts Redis, takes 127.0.0.1 alone for this machine."""
    with socket.create_connection(("127.0.0.1", deployed.port), 10, source_address=("127.0.0.2", 0)) as other:
        other.sendall(b"AUTH health none\r\nPING\r\n")
        with other.makefile("rb") as answers:
            assert [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]


def test_a_consumer_of_events_gets_them(deployed: Deployed) -> None:
    """The example, by the command line that its users know, with the user that is made for it."""
    log = deployed.folder / "consumer.log"
    lines = [line for block in operating().of("bash", "What comes after a push") for line in block.text.splitlines()]
    (line,) = [line for line in lines if line.startswith("celery ")]
    app = deployed.app("imagepusher")
    event: dict[str, Any] = {"reference": "r", "old_digest": None, "new_digest": "sha256:1", "unsigned": []}
    with log.open("wb") as output:
        consumer = subprocess.Popen(
            [sys.executable, "-m", *shlex.split(line)],
            cwd=DEPLOY / "examples" / "events", env=environment({"BROKER_URL": deployed.url("consumer")}),
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        app.send_task("signer.tag_moved", args=[event], queue="signing")
        wait_until(lambda: "r: None -> sha256:1" in log.read_text(), "the event did not come")
        with deployed.client("admin") as client:
            wait_until(lambda: not client.exists(f"{PREFIX}signing.unacked"), "the event was not acknowledged")
    finally:
        consumer.terminate()
        consumer.wait(300)
    assert deployed.refused() == [], log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("producer", ["producer.py", "producer.sh", "producer.mjs"])
def test_a_producer_of_the_examples_needs_no_other_right(deployed: Deployed, producer: str) -> None:
    """By its URL with user and password; a worker is played by the administrator."""
    (deployed.folder / "request.json").write_text("{}")
    variables = {"BROKER_URL": deployed.url("producer"), "PRODUCER": "producer", "PATH": os.environ["PATH"]}
    variables["PRODUCER_KEY_FILE"] = str(deployed.folder / "secrets" / "producer_key")
    program = subprocess.Popen(
        [*LANGUAGES[producer], str(PRODUCERS / producer), "request.json"],
        cwd=deployed.folder, env=environment(variables), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with deployed.client("admin") as client:
            wait_until(lambda: client.llen(f"{PREFIX}imagepusher.push"), "no push was sent")
            taken: Any = client.rpop(f"{PREFIX}imagepusher.push")
            headers = json.loads(taken)["headers"]
            assert headers["imagepusher_signature"].startswith("producer:")
            result = {"status": "SUCCESS", "result": {"state": "succeeded"}, "task_id": headers["id"]}
            client.set(f"{PREFIX}celery-task-meta-{headers['id']}", json.dumps(result))
            client.publish(f"{PREFIX}celery-task-meta-{headers['id']}", json.dumps(result))
        output, _ = program.communicate(timeout=120)
    finally:
        program.kill()
        program.wait()
    assert (program.returncode, json.loads(output)) == (0, {"state": "succeeded"})
    assert deployed.refused() == []


def test_a_consumer_puts_back_what_it_had_taken_and_nothing_of_workers(deployed: Deployed) -> None:
    """A copy may take longer than the hour after which Celery delivers what nobody acknowledged once more."""
    own = {f"unacked{end}_key": f"signing.unacked{end}" for end in ("", "_index", "_mutex")}
    with deployed.app("imagepusher").connection() as ours, deployed.client("admin") as client:
        queue: Any = ours.SimpleQueue("imagepusher.copy")
        queue.put({"copy": 1})
        queue.get(timeout=10)
        with deployed.app("consumer", visibility_timeout=0, **own).connection() as connection:
            signing: Any = connection.SimpleQueue("signing")
            signing.put({"number": 1})
            taken = signing.get(timeout=10)
            signing.channel.qos.restore_visible(interval=1)
            assert signing.get(timeout=10).payload == taken.payload
            signing.close()
        assert client.hlen(f"{PREFIX}unacked") == 1
        assert client.llen(f"{PREFIX}imagepusher.copy") == 0
        queue.close()
    assert deployed.refused() == []


@pytest.mark.parametrize("user", ["imagepusher", "flower"])
def test_whoever_has_a_queue_that_expires_sweeps_up_after_those_that_did(deployed: Deployed, user: str) -> None:
    with deployed.client("admin") as client, deployed.app(user).connection() as connection:
        client.zadd(f"{PREFIX}_kombu.binding_deadlines", {"reply.celery.pidbox": 1})
        client.sadd(f"{PREFIX}_kombu.binding.reply.celery.pidbox", "gone")
        channel: Any = connection.channel()
        assert channel.sweep_bindings() == 1
        assert not client.exists(f"{PREFIX}_kombu.binding.reply.celery.pidbox")


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("consumer", ("LPUSH", f"{PREFIX}imagepusher.push", "x")),
        ("consumer", ("SADD", f"{PREFIX}_kombu.binding.imagepusher.push", "x")),
        ("consumer", ("HGET", f"{PREFIX}unacked", "x")),
        ("consumer", ("HGET", f"{PREFIX}pushes", "x")),
        ("consumer", ("GET", f"{PREFIX}celery-task-meta-1")),
        ("consumer", ("CONFIG", "GET", "*")),
        # Who may publish there shuts workers down, or has them serve a queue of his own.
        ("consumer", ("PUBLISH", f"{PREFIX}/0.celery.pidbox", "x")),
        ("consumer", ("SADD", f"{PREFIX}_kombu.binding.reply.celery.pidbox", "x")),
    ],
)
def test_a_consumer_may_do_nothing_else(deployed: Deployed, user: str, command: tuple[str, ...]) -> None:
    with deployed.client("admin") as client:
        assert "no permissions" in str(client.acl_dryrun(user, *command))
        assert str(client.acl_dryrun(user, "LPUSH", f"{PREFIX}signing", "x")) == "OK"


# One key of each family, and what may be done to it by whom: anything else is refused.
FAMILIES = {
    "push": "imagepusher.push",
    "push by priority": "imagepusher.push\x06\x163",
    "noted": "imagepusher.push.noted",
    "intake": "imagepusher.push.intake",
    "copy": "imagepusher.copy",
    "publish": "imagepusher.publish",
    "unacked": "unacked",
    "unacked_index": "unacked_index",
    "result": "celery-task-meta-1",
    "chord": "celery-task-meta-1.j",
    "ledger": "push:1",
    "intents": "push:1/intents",
    "pushes": "pushes",
    "open": "open",
    "run": "run:1/push",
    "lock": "lock:registry.example.com/x:1",
    "watchdog": "watchdog",
    "worker": "workers",
    "binding of push": "_kombu.binding.imagepusher.push",
    "binding of copy": "_kombu.binding.imagepusher.copy",
    "binding of remote control": "_kombu.binding.celery.pidbox",
    "binding of answers": "_kombu.binding.reply.celery.pidbox",
    "events of tags": "signing",
    "binding of events of tags": "_kombu.binding.signing",
    "bindings that expire": "_kombu.binding_deadlines",
    "foreign": "others",
}
# What needs no key: for everybody, and for those who use Celery or KEDA. A script has the rights of who runs it.
_FREE = frozenset({"auth", "hello", "ping", "quit", "reset"})
_CELERY = frozenset({"select", "multi", "exec"})
KEYLESS: dict[str, frozenset[str]] = {
    "health": _FREE,
    "producer": _FREE | _CELERY,
    "scaler": _FREE | {"select", "eval", "evalsha"},
    "consumer": _FREE | _CELERY | {"time", "unwatch", "evalsha", "script|load", "script|exists"},
    "flower": _FREE | _CELERY | {"time", "evalsha", "script|load", "script|exists"},
}
_CHANNELS = frozenset({"publish", "subscribe", "unsubscribe", "psubscribe", "punsubscribe"})
_LENGTH = frozenset({"llen"})
_SENT = frozenset({"lpush", "llen"})
_READ = frozenset({"get", "mget"})
_OF_A_MONITOR = frozenset(
    {"get", "set", "del", "exists", "llen", "lpush", "brpop", "sadd", "srem", "smembers"}
    | {"zadd", "zrem", "zrange", "zrangebyscore"}
)
_OF_A_CONSUMER = _OF_A_MONITOR | {"hget", "hset", "hdel", "rpush", "watch"}
_QUEUES = ("push", "push by priority", "noted", "intake", "copy", "publish")
_BINDINGS = ("binding of push", "binding of copy", "binding of remote control", "binding of answers")
PERMITTED: dict[str, dict[str, frozenset[str]]] = {
    "health": {},
    "producer": {
        "push": _SENT,
        "push by priority": _SENT,
        "result": _READ,
        "chord": _READ,
        "binding of push": frozenset({"sadd"}),
    },
    "scaler": dict.fromkeys(_QUEUES, frozenset({"llen", "type"})),
    "consumer": dict.fromkeys(("events of tags", "binding of events of tags"), _OF_A_CONSUMER),
    "flower": {
        **dict.fromkeys(_QUEUES, _LENGTH),
        **dict.fromkeys(("push", "push by priority"), _SENT),
        **dict.fromkeys(("result", "chord"), _READ),
        **dict.fromkeys(
            (*_BINDINGS, "binding of events of tags", "bindings that expire", "unacked", "unacked_index"),
            _OF_A_MONITOR,
        ),
    },
}


def may(client: Any, user: str, keys: list[str]) -> list[set[str]]:
    """Return what a user may do to each of the keys, of all commands that Redis has."""
    names: Any = client.execute_command("COMMAND LIST")
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.execute_command("COMMAND INFO", name)
        # The least number of words, without those of the name itself.
        least = [abs(found[0][1]) - 1 - name.count("|") for name, found in zip(names, pipeline.execute(), strict=True)]
    found: list[set[str]] = []
    for key in keys:
        # A word too many is refused, and scripts have their keys elsewhere.
        forms = [([key] * number, ["script", "1", key]) for number in least]
        with client.pipeline(transaction=False) as pipeline:
            for name, words in ((name, words) for name, both in zip(names, forms, strict=True) for words in both):
                pipeline.execute_command("ACL DRYRUN", user, *name.split("|"), *words)
            told = pipeline.execute(raise_on_error=False)
        found.append({name for place, name in enumerate(names) if "OK" in told[2 * place : 2 * place + 2]})
    return found


@pytest.mark.parametrize("user", PERMITTED)
def test_each_user_may_do_its_part_to_its_keys_and_nothing_to_any_other(deployed: Deployed, user: str) -> None:
    """Every command that Redis has is tried on every kind of key."""
    names = [f"{PREFIX}{key}" if family != "foreign" else key for family, key in FAMILIES.items()]
    with deployed.client("admin") as client:
        allowed = dict(zip(FAMILIES, may(client, user, names), strict=True))
    permitted = PERMITTED[user]
    assert {family: commands - KEYLESS[user] - _CHANNELS for family, commands in allowed.items()} == {
        family: set(permitted.get(family, ())) for family in FAMILIES
    }


def test_workers_reach_all_keys_of_their_own_and_no_other_command(deployed: Deployed) -> None:
    with deployed.client("admin") as client:
        mine, foreign = may(client, "imagepusher", [f"{PREFIX}push:1", "others"])
    (line,) = re.findall(
        r"^user imagepusher .*$", (deployed.folder / "secrets" / "users.acl").read_text(), re.MULTILINE
    )
    listed = set(re.findall(r" \+(\S+)", line))
    assert mine | _CHANNELS == listed | _FREE
    keyless = {"info", "time", "discard", "unwatch", "evalsha", "script|load", "script|exists"}
    assert foreign - _CHANNELS <= _FREE | _CELERY | keyless


def test_workers_may_run_each_script_of_theirs(deployed: Deployed) -> None:
    """A script has the rights of who runs it, and fails in its midst at what that one may not do."""
    texts = [path.read_text() for root in ("tasks", "workers") for path in (DEPLOY.parent / root).rglob("*.py")]
    called = {name.lower() for text in texts for name in re.findall(r"redis\.p?call\(\s*['\"](\w+)", text)}
    assert {"hdel", "exists", "lrem", "pexpire"} <= called
    with deployed.client("admin") as client:
        assert called <= may(client, "imagepusher", [f"{PREFIX}push:1"])[0]


def test_a_message_that_would_not_fit_into_a_worker_is_not_taken(deployed: Deployed) -> None:
    """A worker that is killed for its memory would come back to it again and again."""
    with deployed.client("producer") as client:
        assert client.lpush(f"{PREFIX}imagepusher.push", b"x" * (32 << 20)) == 1
        with pytest.raises(redis.RedisError):
            client.lpush(f"{PREFIX}imagepusher.push", b"x" * (64 << 20) + b"x")
        assert client.llen(f"{PREFIX}imagepusher.push") == 1


_LEDGER, _COPIES, _RESULT = f"{PREFIX}push:1", f"{PREFIX}imagepusher.copy", f"{PREFIX}celery-task-meta-1"
_WAYS_AROUND = (
    ("CLIENT", "LIST"), ("CLIENT", "KILL", "TYPE", "normal"), ("CLIENT", "PAUSE", "1000"), ("CLIENT", "NO-EVICT", "on"),
    ("CLIENT", "TRACKING", "on", "BCAST"), ("OBJECT", "ENCODING", _LEDGER), ("OBJECT", "FREQ", _LEDGER),
    ("SORT", _COPIES, "BY", "nosort", "GET", f"{PREFIX}push:*", "STORE", f"{PREFIX}signing"),
    ("SORT_RO", _COPIES, "BY", "nosort", "GET", f"{PREFIX}push:*"), ("COPY", _LEDGER, f"{PREFIX}signing"),
    ("RENAME", f"{PREFIX}signing", _RESULT), ("RESTORE", _RESULT, "0", "x", "REPLACE"), ("DUMP", _LEDGER),
    ("MIGRATE", "127.0.0.1", "1", "", "0", "10", "KEYS", _LEDGER), ("MOVE", _LEDGER, "1"), ("SWAPDB", "0", "1"),
    ("DEBUG", "OBJECT", _LEDGER), ("DEBUG", "SLEEP", "1"), ("FUNCTION", "LIST"), ("FUNCTION", "FLUSH"),
    ("FCALL", "x", "0"), ("SCRIPT", "FLUSH"), ("SCRIPT", "KILL"), ("SCRIPT", "DEBUG", "YES"), ("MONITOR",),
    ("SYNC",), ("PSYNC", "?", "-1"), ("REPLICAOF", "127.0.0.1", "1"), ("MODULE", "LIST"), ("SHUTDOWN", "NOSAVE"),
    ("SAVE",), ("BGREWRITEAOF",), ("FLUSHALL",), ("FLUSHDB",), ("ACL", "LIST"), ("ACL", "WHOAMI"),
    ("ACL", "SETUSER", "producer", "+@all"), ("CONFIG", "SET", "requirepass", ""), ("CONFIG", "GET", "*"),
    ("KEYS", "*"), ("SCAN", "0"), ("RANDOMKEY",), ("DBSIZE",), ("INFO",), ("SLOWLOG", "GET"), ("LATENCY", "LATEST"),
    ("MEMORY", "USAGE", _LEDGER), ("PUBLISH", _RESULT, "x"),
    ("PUBSUB", "CHANNELS"), ("PUBLISH", "__keyspace@0__:x", "x"), ("SUBSCRIBE", "__keyevent@0__:set"),
    ("PSUBSCRIBE", "*"), ("PSUBSCRIBE", f"{PREFIX}*"), ("SSUBSCRIBE", f"{PREFIX}x"), ("WAIT", "1", "1"),
    ("LMOVE", _COPIES, f"{PREFIX}signing", "LEFT", "LEFT"), ("BITOP", "NOT", _RESULT, _RESULT),
    ("GETDEL", _RESULT), ("APPEND", _RESULT, "x"), ("ZRANGESTORE", f"{PREFIX}signing", _COPIES, "0", "-1"),
    ("XADD", f"{PREFIX}signing", "*", "a", "b"), ("EVAL_RO", "return 1", "0"), ("FAILOVER",), ("CLUSTER", "INFO"),
)  # fmt: skip
_SCRIPTS = (
    f"return redis.call('HGETALL', '{_LEDGER}')",
    f"return redis.call('SET', '{_RESULT}', 'x')",
    f"return redis.call('LPUSH', '{_COPIES}', 'x')",
    f"return redis.call('PUBLISH', '{PREFIX}/0.celery.pidbox', 'x')",
    "return redis.call('ACL', 'SETUSER', 'producer', '+@all')",
    "return redis.call('FLUSHALL')",
)


@pytest.mark.parametrize("user", ["producer", "consumer", "flower", "scaler", "health"])
def test_no_user_finds_a_way_around_its_rights(deployed: Deployed, user: str) -> None:
    """By what needs no key, by one command that reads for another, by a script that does not say which keys it has."""
    taken = []
    with deployed.client("admin") as admin:
        admin.hset(_LEDGER, "state", "succeeded")
        admin.lpush(_COPIES, "m")
        before = sorted(admin.keys())
    password = (deployed.folder / "secrets" / "scaler_password").read_text() if user == "scaler" else "none"
    url = f"redis://{user}:{password}@127.0.0.1:{deployed.port}/0"
    url = url if user in {"scaler", "health"} else deployed.url(user)
    for words in (*_WAYS_AROUND, *(("EVAL", script, "0") for script in _SCRIPTS)):
        with redis.Redis.from_url(url) as client:
            try:
                client.execute_command(*words)
            except redis.exceptions.NoPermissionError:
                continue
            except redis.ResponseError as error:
                if any(word in str(error) for word in ("NOPERM", "The user executing the script", "not allowed")):
                    continue
            taken.append(words)
    assert not taken
    with deployed.client("admin") as admin:
        assert sorted(admin.keys()) == before


@pytest.mark.parametrize("user", ["consumer", "flower"])
def test_a_script_that_is_loaded_has_the_rights_of_who_runs_it(deployed: Deployed, user: str) -> None:
    with deployed.client("admin") as admin:
        loaded = [admin.script_load(script) for script in _SCRIPTS[:3]]
    with deployed.client(user) as client:
        for digest in loaded:
            with pytest.raises(redis.ResponseError, match="The user executing the script"):
                client.execute_command("EVALSHA", digest, "0")


_SENDS = """
import sys
from celery import Celery
app = Celery(broker=sys.argv[1])
app.conf.broker_transport_options = {"global_keyprefix": "imagepusher:"}
words = dict(word.split("=") for word in sys.argv[2:])
app.send_task("imagepusher.push.v1", args=[{}], queue="imagepusher.push", **words)
"""


@pytest.mark.parametrize("member", ["imagepusher.push\x06\x16\x06\x16signing", "no binding"])
def test_a_producer_cannot_divert_what_others_send(deployed: Deployed, member: str) -> None:
    """All may write the binding of the queue. Celery sends to the queue itself; who names an exchange is refused."""
    with deployed.client("producer") as client:
        client.sadd(f"{PREFIX}_kombu.binding.imagepusher.push", member)
    codes = []
    for words in ([], ["exchange=imagepusher.push", "routing_key=imagepusher.push"]):
        sent = subprocess.run(
            [sys.executable, "-c", _SENDS, deployed.url("producer"), *words],
            capture_output=True, env=environment({}), text=True, timeout=300, check=False,
        )  # fmt: skip
        codes.append(sent.returncode)
    assert codes[0] == 0
    assert codes[1] != 0
    assert "no permissions" in sent.stderr
    with deployed.client("admin") as client:
        lists = [key for key in client.scan_iter(f"{PREFIX}*") if client.type(key) == "list"]
        assert {key: client.llen(key) for key in lists} == {f"{PREFIX}imagepusher.push": 1}


def test_flower_forges_no_result_and_takes_nothing_from_workers(deployed: Deployed) -> None:
    with deployed.client("admin") as client:
        for command in (
            ("SET", f"{PREFIX}celery-task-meta-1", "x"),
            ("DEL", f"{PREFIX}celery-task-meta-1"),
            ("BRPOP", f"{PREFIX}imagepusher.push", "1"),
            ("LPUSH", f"{PREFIX}imagepusher.publish", "x"),
            ("LPUSH", f"{PREFIX}imagepusher.push.noted", "x"),
            # A producer who waits takes for the result what it hears there.
            ("PUBLISH", f"{PREFIX}celery-task-meta-1", "x"),
        ):
            assert "no permissions" in str(client.acl_dryrun("flower", *command)), command


@pytest.mark.parametrize("user", ["producer", "consumer", "scaler", "health"])
def test_only_workers_operators_and_flower_reach_the_remote_control(deployed: Deployed, user: str) -> None:
    with deployed.client("admin") as client:
        for command in (
            ("PUBLISH", f"{PREFIX}/0.celery.pidbox", "x"),
            ("SUBSCRIBE", f"{PREFIX}/0.celery.pidbox"),
            ("PSUBSCRIBE", f"{PREFIX}*"),
        ):
            assert "no permissions" in str(client.acl_dryrun(user, *command)), command


def test_only_compose_gets_the_registries_of_compose(tmp_path: Path) -> None:
    """On a host or in a cluster, `imagepusher doctor` would look for them in vain."""
    script = DEPLOY / "redis" / "make-secrets"
    for name, option in (("compose", ["--compose"]), ("elsewhere", [])):
        subprocess.run([script, *option, tmp_path / name], check=True, timeout=300)
    read = {path.parent.name: tomllib.loads(path.read_text()) for path in tmp_path.glob("*/imagepusher.toml")}
    assert read["elsewhere"].keys() == {"broker", "producers"}
    assert read["compose"]["registries"].keys() == {"registry-a:5000", "registry-b:5000"}


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    """With compose containers read them: they are given to these where this user may give files away."""
    for name, options in (("secrets", []), ("compose", ["--compose"])):
        subprocess.run([DEPLOY / "redis" / "make-secrets", *options, tmp_path / name], check=True, timeout=30)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize("words", [[], ["--kubernetes", "folder"], ["a", "b", "c"]])
def test_make_secrets_says_how_it_is_called(tmp_path: Path, words: list[str]) -> None:
    told = subprocess.run(
        [DEPLOY / "redis" / "make-secrets", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert told.returncode == 2
    assert told.stderr.startswith("make-secrets [--compose] [--tls] FOLDER")
    assert list(tmp_path.iterdir()) == []
