"""What pushes with credentials leave behind shows none of them (BEHAVIOUR 6.7)."""

import base64
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
import redis

from tests.chaos.conftest import SETTINGS, MakeSite
from tests.chaos.site import item, small_index
from tests.conftest import MakeRegistry
from tests.support.redis_server import RedisServer
from tests.support.registries import BasicAuth, TokenAuth
from tests.support.stored import Stored, upload
from tests.support.token_server import TokenServer
from tests.support.workers import environment

_ENCODED = re.compile(rb"[A-Za-z0-9+/_=-]{24,}")
_TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")

_SEED = """
import logging, os, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from tasks.pusher import ContainerImagePusher
settings = dict(pair.split("=", 1) for pair in os.environ["SEED"].split())
print(ContainerImagePusher([], settings).run_merge_workflow(sys.argv[1], [sys.argv[2]]))
"""


class Vault:
    """Passwords, each for one purpose, and what of them is found where."""

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    def password(self, purpose: str, user: str = "") -> str:
        secret = f"s3cr3t{uuid.uuid4().hex}"
        self._secrets[purpose] = secret.encode()
        self._secrets[f"{purpose}, as a header has it"] = base64.b64encode(f"{user}:{secret}".encode()).rstrip(b"=")
        return secret

    def found(self, content: bytes) -> list[str]:
        """Return what of the passwords, and which tokens, are in a text, or in what is encoded in it."""
        decoded = [_decoded(match[0]) for match in _ENCODED.finditer(content)]
        return [
            *(
                purpose
                for purpose, secret in self._secrets.items()
                if any(secret in part for part in (content, *decoded))
            ),
            *(f"a token: {match[0][:40]!r}" for part in (content, *decoded) for match in _TOKEN.finditer(part)),
        ]


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_" if {*text} & {*b"-_"} else None)
    except ValueError:
        return b""


def kept_in(client: redis.Redis) -> Iterator[tuple[str, bytes]]:
    """Yield everything that a Redis holds, by key."""
    for key in cast("Iterable[bytes]", client.scan_iter()):
        shown = key.decode(errors="replace")
        match cast("bytes", client.type(key)):
            case b"string":
                yield shown, cast("bytes", client.get(key))
            case b"hash":
                pairs = cast("dict[bytes, bytes]", client.hgetall(key))
                yield shown, b"\n".join(part for pair in pairs.items() for part in pair)
            case b"list":
                yield shown, b"\n".join(cast("list[bytes]", client.lrange(key, 0, -1)))
            case b"set":
                yield shown, b"\n".join(cast("set[bytes]", client.smembers(key)))
            case b"zset":
                yield shown, b"\n".join(cast("list[bytes]", client.zrange(key, 0, -1)))
        yield shown, key


def command_lines(pids: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    for pid in pids:
        yield f"command line of {pid}", Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_search_finds_what_it_looks_for(vault: Vault) -> None:
    secret = vault.password("one", "user")
    header = base64.b64encode(f"user:{secret}".encode())
    body = base64.b64encode(json.dumps({"a": [secret]}).encode())
    for content in (secret.encode(), b"Basic " + header, b'{"body":"' + body + b'"}'):
        assert vault.found(content)
    assert vault.found(b"Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ0ZXN0In0.c2ln")
    assert not vault.found(b"nothing of that, Basic " + base64.b64encode(b"another:password that is long"))


def test_workers_and_clients_leave_no_credentials_behind(
    make_site: MakeSite, make_registry: MakeRegistry, vault: Vault, running: ExitStack, tmp_path: Path, name: str
) -> None:
    passwords = {user: vault.password(f"the password of {user}", user) for user in ("alice", "bob", "carol", "dave")}
    wrong = vault.password("a wrong password", "dave")
    broker_password = vault.password("the password of Redis")
    tokens = running.enter_context(TokenServer({"bob": passwords["bob"]}, anonymous_pull=False))
    at_a = make_registry(auth=BasicAuth({"alice": passwords["alice"]}))
    at_b = make_registry(auth=TokenAuth(tokens))
    at_c = make_registry(auth=BasicAuth({"carol": passwords["carol"]}))
    at_d = make_registry(auth=BasicAuth({"dave": passwords["dave"]}))
    source, other = small_index(name, "amd64", "arm64"), small_index(f"{name}-other", "amd64")
    upload(at_a.host, f"{name}/src", source, "1", auth=("alice", passwords["alice"]))
    upload(at_c.host, f"{name}/src", other, "1", auth=("carol", passwords["carol"]))
    encoded = base64.b64encode(f"carol:{passwords['carol']}".encode()).decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {at_c.host: {"auth": encoded}}}))
    (tmp_path / "settings.toml").write_text(
        f"""auth_files = ["auth.json"]
{SETTINGS}
[broker]
key = "{vault.password("the key that workers sign by")}"
[registries."{at_a.host}"]
username = "alice"
password = "{passwords["alice"]}"
[registries."{at_b.host}".destination]
username = "bob"
password_env = "BOBS_PASSWORD"
[registries."{at_d.host}"]
username = "dave"
password = "{wrong}"
"""
    )
    for path in tmp_path.iterdir():
        path.chmod(0o600)
    server = running.enter_context(RedisServer(appendonly=True))
    with redis.Redis(port=server.port) as client:
        client.config_set("requirepass", broker_password)
    server_url = f"redis://:{broker_password}@127.0.0.1:{server.port}/0"
    site = make_site(
        server,
        {
            "IMAGEPUSHER_CONFIG": str(tmp_path / "settings.toml"),
            "IMAGEPUSHER_BROKER_URL": server_url,
            "BOBS_PASSWORD": passwords["bob"],
        },
    )
    site.broker_url = server_url
    site.results = running.enter_context(redis.Redis.from_url(server_url))
    running.callback(site.fleet.end)
    site.fleet.start(2, "--log-level", "debug")
    request = {
        "items": [
            item(f"{at_a.host}/{name}/src:1", {f"{at_b.host}/{name}/dst": ["1"], f"{at_d.host}/{name}/dst": ["1"]}),
            item(f"{at_c.host}/{name}/src:1", {f"{at_b.host}/{name}/other": ["1"]}),
            item(f"{at_c.host}/{name}/gone:1", {f"{at_b.host}/{name}/other": ["2"]}),
        ]
    }
    site.arms.arm("copy begins", nth=2)
    push_id = site.send(request)
    site.wait_for_harm()
    site.fleet.start(2, "--log-level", "debug")
    texts: dict[str, bytes] = dict(command_lines(worker.pid for worker in site.fleet.alive))
    texts |= dict(kept_in(site.results))
    site.results.client_kill_filter(_type="normal", skipme=True)
    report = site.report(push_id)
    codes = {
        tag["reference"]: tag["error"] and tag["error"]["code"] for part in report["items"] for tag in part["tags"]
    }
    assert codes == {
        f"{at_b.host}/{name}/dst:1": None,
        f"{at_d.host}/{name}/dst:1": "authentication_refused",
        f"{at_b.host}/{name}/other:1": None,
        f"{at_b.host}/{name}/other:2": "source_missing",
    }
    stored = Stored(at_b.host, auth=tokens.bearer("bob", f"{name}/dst"))
    stored.holds(f"{name}/dst", "1")
    for arguments in (["push", "-"], ["status"], ["status", push_id], ["verify", push_id], ["undo", push_id, "--yes"]):
        with site.cli(*arguments, "--output", "json") as program:
            texts |= dict(command_lines([program.pid]))
            answer, errors = program.communicate(json.dumps(request).encode(), timeout=300)
            assert answer or errors
            texts[f"what {arguments} said"] = answer + errors
    texts |= dict(kept_in(site.results))
    for worker in site.fleet.workers:
        texts[f"log of {worker.pid}"] = worker.log().encode()
    site.fleet.end()
    assert any(b"DEBUG" in text or b'"level":"debug"' in text for text in texts.values())
    found = {what: vault.found(text) for what, text in texts.items() if vault.found(text)}
    assert not found
    site.figures.add(texts_searched_for_secrets=len(texts))


@pytest.mark.parametrize("embedded", [True, False])
def test_the_passwords_of_target_settings_stay_in_the_process(
    make_registry: MakeRegistry, vault: Vault, redis_server: RedisServer, tmp_path: Path, name: str, embedded: bool
) -> None:
    """They serve an embedded push, and with a broker they are refused."""
    source_password = vault.password("source", "alice")
    destination_password = vault.password("destination", "bob")
    at_a = make_registry(auth=BasicAuth({"alice": source_password}))
    at_b = make_registry(auth=BasicAuth({"bob": destination_password}))
    source = small_index(name, "amd64")
    upload(at_a.host, f"{name}/src", source, "1", auth=("alice", source_password))
    settings = {
        "source_quay_user": "alice",
        "source_quay_password": source_password,
        "dest_quay_user": "bob",
        "dest_quay_password": destination_password,
    }
    variables = {"IMAGEPUSHER_STATE_DIR": str(tmp_path / "state")}
    if not embedded:
        variables["IMAGEPUSHER_BROKER_URL"] = f"{redis_server.url.removesuffix('/0')}/8"
    seed = " ".join(f"{key}={value}" for key, value in settings.items())
    done = subprocess.run(
        [sys.executable, "-c", _SEED, f"{at_a.host}/{name}/src:1", f"{at_b.host}/{name}/dst:1"],
        env=environment({**variables, "SEED": seed, "PYTHONPATH": os.getcwd()}),  # noqa: PTH109 - the project's root
        capture_output=True,
        check=False,
        timeout=300,
    )
    texts = {"stdout": done.stdout, "stderr": done.stderr}
    texts |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with redis.Redis(port=redis_server.port, db=8) as client:
        texts |= dict(kept_in(client))
    if embedded:
        assert done.returncode == 0, done.stderr.decode()
        assert Stored(at_b.host, auth=("bob", destination_password)).digest(f"{name}/dst", "1") == source.digest
        assert any("state" in what for what in texts)
    else:
        assert b"SettingsInvalid" in done.stderr
    found = {what: vault.found(text) for what, text in texts.items() if vault.found(text)}
    assert not found
