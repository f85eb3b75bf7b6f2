"""`deploy/redis/users.acl`: who may do what, and nothing else."""

import re
import subprocess
import sys
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.deploy.deployed_redis import PREFIX, Deployed
from tests.deploy.local import DEPLOY
from tests.support.workers import environment


def test_who_has_no_password_may_ask_whether_redis_lives_and_nothing_else(deployed: Deployed) -> None:
    with redis.Redis(port=deployed.port, username="health", password="none") as client:
        assert client.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.get(f"{PREFIX}x")
    for username, password in ((None, None), ("default", ""), ("default", "none")):
        nobody = redis.Redis(port=deployed.port, username=username, password=password, retry=Retry(NoBackoff(), 0))
        with nobody, pytest.raises(redis.AuthenticationError):
            nobody.ping()


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
