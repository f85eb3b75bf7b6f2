"""What pushes with credentials leave behind shows none of them (BEHAVIOUR 6.7)."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.chaos.conftest import SETTINGS, MakeSite
from tests.chaos.leaky import Leaky
from tests.chaos.site import item, small_index
from tests.chaos.vault import Vault, command_lines, kept_in
from tests.conftest import MakeRegistry
from tests.support.images import image
from tests.support.redis_server import RedisServer
from tests.support.registries import BasicAuth, TokenAuth
from tests.support.stored import Stored, upload
from tests.support.token_server import TokenServer
from tests.support.workers import command, environment, running_worker

_SEED = """
import logging, os, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from tasks.pusher import ContainerImagePusher
settings = dict(pair.split("=", 1) for pair in os.environ["SEED"].split())
print(ContainerImagePusher([], settings).run_merge_workflow(sys.argv[1], [sys.argv[2]]))
"""


_DEBUGGING = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from workers.cli.main import main
main()
"""


# The registries of the test of many failures, by the place of their credentials, and how they ask for them.
SCHEMES = {
    "table": "Basic",
    "variable": "Basic",
    "file": "Bearer",
    "auth file": "Basic",
    "identity token": "Bearer",
    "registry token": "Bearer",
    "helper": "Basic",
    "broken helper": "Basic",
}


def plant(hosts: dict[str, str], vault: Vault, planted: Path, left: Path) -> dict[str, str]:
    """Write files with credentials into a folder; return the variables that have some, too."""

    def basic(what: str) -> str:
        return base64.b64encode(f"user:{vault.password(what, 'user')}".encode()).decode()

    for what in ("password", "api token", "key of a producer"):
        (planted / what.replace(" ", "_")).write_text(vault.secret(f"the file of the {what}"))
    (planted / "page_login").write_text(f"operator:{vault.secret('the login of the page')}\n")
    (planted / "settings.toml").write_text(
        f"""auth_files = ["auth.json"]
[http]
connect_timeout = 2
idle_timeout = 3
tries = 2
longest_wait = 1.5
retry_after_limit = 0.1
[limits]
task_tries = 1
[broker]
key = "{vault.secret("the key of workers")}"
[producers.one]
key = "{vault.secret("the key of a producer")}"
[producers.two]
key_file = "key_of_a_producer"
[page]
login_file = "page_login"
[registries."{hosts["table"]}"]
username = "user"
password = "{vault.password("the settings", "user")}"
api_token_file = "api_token"
[registries."{hosts["variable"]}"]
username = "user"
password_env = "OF_THE_REGISTRY"
[registries."{hosts["file"]}"]
username = "user"
password_file = "password"
"""
    )
    auths = {
        hosts["auth file"]: {"auth": basic("an auth file")},
        hosts["identity token"]: {"auth": "", "identitytoken": vault.secret("an identity token")},
        hosts["registry token"]: {"registrytoken": vault.secret("a registry token")},
    }
    helpers = {hosts["helper"]: "good", hosts["broken helper"]: "bad"}
    (planted / "auth.json").write_text(json.dumps({"auths": auths, "credHelpers": helpers}))
    said = json.dumps({"Username": "user", "Secret": vault.password("a helper", "user")})
    broken = f"cannot reach https://user:{vault.secret('a broken helper')}@vault.example with password: none"
    for helper, script in {"good": f"echo '{said}'", "bad": f"echo '{said}'; echo '{broken}' >&2; exit 1"}.items():
        program = planted / f"docker-credential-{helper}"
        # What a helper gets to see is kept to be searched.
        program.write_text(f'#!/bin/sh\n{{ env; echo "$0 $*"; }} >>"$LOGGED"\n{script}\n')
    for path in planted.iterdir():
        path.chmod(0o700 if path.name.startswith("docker-") else 0o600)
    return {
        "PATH": f"{planted}:{os.environ['PATH']}",
        "OF_THE_REGISTRY": vault.password("a variable", "user"),
        "SOME_PASSWORD": vault.secret("a variable of somebody else's"),
    }


def failing(leaky: Leaky) -> dict[str, Any]:
    """Return a push each of whose items fails in a way of its own; the last ones have no way at all."""
    hosts = {name: host for name, host in leaky.hosts.items() if name != "broken helper"}
    asking = {"token": ["file", "identity token"], "": list(hosts)}
    items = []
    for number, way in enumerate(leaky.ways):
        names = asking["token" if way.part == "/token" else ""]
        host, good = hosts[names[number % len(names)]], hosts["table"]
        source, repository = (f"{host}/{way.name}:1", "sound") if way.at == "source" else (f"{good}/good:1", way.name)
        items.append(item(source, {f"{good if way.at == 'source' else host}/{repository}": [f"t{number}"]}))
    destination = {f"{hosts['table']}/sound": ["last"]}
    items.append(item(f"{leaky.hosts['broken helper']}/good:1", destination))
    return {"items": items}


def wrong_from_the_start(
    leaky: Leaky, vault: Vault, variables: dict[str, str]
) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Yield commands, with variables, that are wrong from the start."""
    secret, host = vault.secret, leaky.hosts["table"]
    config = Path(variables["IMAGEPUSHER_CONFIG"])
    destination = f"{host}/sound:1"
    yield {}, ["copy", f"https://user:{secret('the URL of a source')}@{host}/good:1", destination]
    yield {}, ["copy", f"docker://user:{secret('the address of a source')}@{host}/good:1", destination]
    for wrong in ("redis://:{}@127.0.0.1:1/0", "redis://u:{}@h/abc", "redis://u:{}@[bad/0", "amqps://u:{}@h/?x=1"):
        url = wrong.format(secret("the URL of a broker"))
        yield {"IMAGEPUSHER_BROKER_URL": url, "IMAGEPUSHER_OUTAGE_SECONDS": "0"}, ["push", str(config.parent / "none")]
        yield {"IMAGEPUSHER_BROKER_URL": url, "IMAGEPUSHER_OUTAGE_SECONDS": "0"}, ["doctor"]
    proxies = {"HTTPS_PROXY": f"http://u:{secret('a proxy')}@127.0.0.1:1", "IMAGEPUSHER_BROKER_URL": ""}
    yield proxies, ["-v", "copy", "registry.example/app:1", destination]
    yield {**proxies, "HTTPS_PROXY": f"odd://u:{secret('a proxy')}@x"}, ["copy", "registry.example/app:1", destination]
    given = {"IMAGEPUSHER_BROKER_URL": "", "IMAGEPUSHER_SRC_CREDS": f"u:{vault.password('the credentials given', 'u')}"}
    yield given, ["-v", "copy", f"{host}/read-403:1", destination]
    text = config.read_text()
    for number, wrong in enumerate((text.replace("username", "user name"), text.replace('key = "', 'keys = "'))):
        other = config.with_name(f"wrong{number}.toml")
        other.write_text(wrong)
        other.chmod(0o600)
        yield {"IMAGEPUSHER_CONFIG": str(other)}, ["status"]


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
def test_pushes_that_fail_in_every_way_leave_no_secret_behind(
    vault: Vault, running: ExitStack, tmp_path: Path, name: str, embedded: bool
) -> None:
    """T13: credentials in every place that can carry one, and registries that quote them, or make up their own."""
    planted, left = tmp_path / "planted", tmp_path / "left"
    for folder in (planted, left, left / "tmp"):
        folder.mkdir()
    leaky = running.enter_context(Leaky(image("linux/amd64"), vault.secret, SCHEMES))
    variables = {
        **plant(leaky.hosts, vault, planted, left),
        "IMAGEPUSHER_CONFIG": str(planted / "settings.toml"),
        "IMAGEPUSHER_STATE_DIR": str(left / "state"),
        "TMPDIR": str(left / "tmp"),
        "HOME": str(left),
        "LOGGED": str(left / "helpers"),
    }
    texts: dict[str, bytes] = {}
    request = json.dumps(failing(leaky)).encode()
    if embedded:
        commands = [["push", "-", "-o", "json"], ["-v", "push", "-"], ["-v", "push", "--dry-run", "-"]]
    else:
        server = running.enter_context(RedisServer())
        client = running.enter_context(redis.Redis(port=server.port))
        client.config_set("requirepass", vault.secret("Redis"))
        url = f"redis://:{vault.secret('Redis')}@127.0.0.1:{server.port}/0"
        client = running.enter_context(redis.Redis.from_url(url))
        variables["IMAGEPUSHER_BROKER_URL"] = url
        heard = running.enter_context(client.pubsub())
        heard.psubscribe("*")
        worker = running.enter_context(running_worker(variables, ["--log-level", "debug", "--concurrency", "8"]))
        commands = [["push", "-", "-o", "json"], ["status"], ["holds"], ["push", "--dry-run", "-"]]
    for number, arguments in enumerate(commands):
        with subprocess.Popen(
            [sys.executable, "-c", _DEBUGGING, *arguments],
            env=environment(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as program:
            texts |= {f"{number}: {what}": text for what, text in command_lines([program.pid])}
            answer, errors = program.communicate(request, timeout=300)
        texts |= {f"{number}: what {arguments} said": answer, f"{number}: {arguments}, stderr": errors}
    for number, (changed, arguments) in enumerate(wrong_from_the_start(leaky, vault, variables)):
        done = subprocess.run(
            command(*arguments),
            env=environment(variables | changed),
            capture_output=True,
            check=False,
            timeout=300,
        )
        assert done.returncode, (arguments, done.stdout)
        texts[f"wrong {number}: {arguments[0]}"] = done.stdout + done.stderr
    if not embedded:
        texts |= dict(command_lines([worker.pid])) | dict(kept_in(client))
        texts |= {f"event {number}": str(said).encode() for number, said in enumerate(iter(heard.get_message, None))}
        worker.stop()
        texts["the worker's log"] = worker.log().encode()
    texts |= {str(path): path.read_bytes() for path in left.rglob("*") if path.is_file()}
    # Each way was met, and seen to fail.
    assert not {way.name for way in leaky.ways} - leaky.asked
    assert len(leaky.asked) >= 50
    assert len(vault.purposes) >= 20
    assert not leaky.cookies
    report = texts["0: what ['push', '-', '-o', 'json'] said"]
    assert report.count(b'"failed"') >= len(leaky.ways)
    assert b"DEBUG" in b"".join(texts.values())
    found = {what: vault.found(text) for what, text in texts.items() if vault.found(text)}
    assert not found


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
