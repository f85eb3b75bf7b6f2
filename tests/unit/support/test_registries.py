import signal
import sys
from pathlib import Path

import pytest
import redis
import requests

from tests.conftest import MakeRegistry
from tests.support import processes
from tests.support.certificates import Authority
from tests.support.images import DOCKER_FOREIGN_LAYER, image, layer
from tests.support.processes import CannotStartError
from tests.support.redis_server import RedisServer
from tests.support.registries import BasicAuth, DistributionRegistry, Logged, TokenAuth
from tests.support.stored import Stored, upload
from tests.support.token_server import TokenServer


def test_a_missing_program_fails_and_names_its_package() -> None:
    with pytest.raises(CannotStartError, match="apt-get install some-package"):
        processes.find_program("no-such-program", "some-package")


def test_a_start_that_fails_shows_the_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('bad luck')"]
    with pytest.raises(CannotStartError, match="bad luck"):
        processes.start(lambda _port: command, lambda _: False, tmp_path / "log")


def test_a_lost_race_for_a_port_is_run_again_on_another(tmp_path: Path) -> None:
    tried: list[int] = []

    def command(port: int) -> list[str]:
        tried.append(port)
        lose = "raise SystemExit('Address already in use')"
        serve = f"import signal; print('up'); signal.sigwait([{int(signal.SIGUSR1)}])"
        return [sys.executable, "-uc", lose if len(tried) == 1 else serve]

    process = processes.start(command, lambda each: "up" in each.log(), tmp_path / "log")
    process.stop()
    assert (len(tried), process.port, process.running) == (2, tried[1], False)


def test_requests_are_read_from_the_access_log(make_registry: MakeRegistry) -> None:
    registry = make_registry()
    requests.get(f"{registry.url}/v2/absent/tags/list?n=2", timeout=30)
    requests.head(f"{registry.url}/v2/", timeout=30)
    expected = [Logged("GET", "/v2/absent/tags/list", 404, "n=2"), Logged("HEAD", "/v2/", 200)]
    assert registry.requests() == expected
    assert registry.requests() == expected


def test_a_registry_killed_and_restarted_keeps_host_and_content(make_registry: MakeRegistry, name: str) -> None:
    registry = make_registry()
    host = registry.host
    upload(host, name, image(), "latest")
    registry.kill()
    with pytest.raises(requests.ConnectionError):
        Stored(host).tags(name)
    registry.restart()
    assert registry.host == host
    assert image().digest in Stored(host).holds(name, "latest")


def test_the_environment_does_not_configure_the_registry(
    make_registry: MakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_HTPASSWD_REALM", "intruder")
    monkeypatch.setenv("REGISTRY_AUTH_HTPASSWD_PATH", "/nowhere")
    assert requests.get(f"{make_registry().url}/v2/", timeout=30).status_code == 200


def test_basic_authentication_lets_its_users_in_only(make_registry: MakeRegistry, name: str) -> None:
    registry = make_registry(auth=BasicAuth({"ann": "secret", "bob": "other"}))
    upload(registry.host, name, image(), "latest", auth=("bob", "other"))
    Stored(registry.host, auth=("ann", "secret")).holds(name, "latest")
    assert Stored(registry.host, auth=("ann", "wrong")).manifest(name, "latest")[0] == 401
    assert Stored(registry.host).manifest(name, "latest")[0] == 401


def test_layers_with_urls_are_not_uploaded_and_allowed_by_pattern(make_registry: MakeRegistry, name: str) -> None:
    foreign = layer("foreign", 9, urls=["http://127.0.0.1/elsewhere"])
    made = image("linux/amd64", [foreign], docker=True)
    assert made.document["layers"][0]["mediaType"] == DOCKER_FOREIGN_LAYER
    assert foreign.digest not in made.blobs
    allowing, refusing = make_registry(allow_urls=(r"^http://127\.0\.0\.1/",)), make_registry()
    upload(allowing.host, name, made, "latest")
    assert foreign.digest not in Stored(allowing.host).holds(name, "latest")
    with pytest.raises(AssertionError, match=f"PUT .*/manifests/{made.digest} answered"):
        upload(refusing.host, name, made)


def test_manifests_are_deleted_by_digest_unless_the_registry_forbids_it(make_registry: MakeRegistry, name: str) -> None:
    for delete, status in ((True, 202), (False, 405)):
        registry = make_registry(delete=delete)
        digest = upload(registry.host, name, image())
        answer = requests.delete(f"{registry.url}/v2/{name}/manifests/{digest}", timeout=30)
        assert answer.status_code == status


def test_tls_is_served_to_those_who_trust_its_authority(make_registry: MakeRegistry, name: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    registry = make_registry(tls=authority.certificates())
    upload(registry.host, name, image(), "latest", verify=str(authority.path))
    assert Logged("PUT", f"/v2/{name}/manifests/latest", 201) in registry.requests()
    with pytest.raises(requests.exceptions.SSLError):
        Stored(registry.host, verify=str(Authority(tmp_path / "other").path)).tags(name)


def test_a_client_certificate_is_demanded_where_required(make_registry: MakeRegistry, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    registry = make_registry(tls=authority.certificates(require_client=True))
    client = authority.issue("client")
    trusted, url = str(authority.path), f"{registry.url}/v2/"
    pair = (str(client.certificate), str(client.key))
    assert requests.get(url, verify=trusted, cert=pair, timeout=30).status_code == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(url, verify=trusted, timeout=30)
    assert [each.status for each in registry.requests()] == [200]


def _statuses(registry: DistributionRegistry, tokens: TokenServer, user: str | None, name: str) -> list[int]:
    base = f"{registry.url}/v2/{name}"
    auth = tokens.bearer(user, name)
    return [
        requests.get(f"{base}/tags/list", auth=auth, timeout=30).status_code,
        requests.post(f"{base}/blobs/uploads/", auth=auth, timeout=30).status_code,
    ]


def test_the_registry_takes_tokens_for_what_they_grant(make_registry: MakeRegistry, name: str) -> None:
    with TokenServer({"ann": "secret"}) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        assert _statuses(registry, tokens, "ann", name) == [404, 202]
        assert _statuses(registry, tokens, None, name) == [404, 401]
        challenge = requests.get(f"{registry.url}/v2/{name}/tags/list", timeout=30)
        assert f'realm="{tokens.realm}"' in challenge.headers["WWW-Authenticate"]
    with TokenServer({"ann": "x"}, policy=lambda user, _name, _asked: {"pull"} if user else ()) as tokens:
        registry = make_registry(auth=TokenAuth(tokens))
        assert _statuses(registry, tokens, "ann", name) == [404, 401]
        assert _statuses(registry, tokens, None, name) == [401, 401]


def test_a_token_that_has_ended_is_refused(make_registry: MakeRegistry, name: str) -> None:
    with TokenServer({"ann": "secret"}, expires_in=-1) as tokens:
        assert _statuses(make_registry(auth=TokenAuth(tokens)), tokens, "ann", name) == [401, 401]


def test_tokens_are_given_for_passwords_and_identity_tokens() -> None:
    scope = "repository:a/b:pull,push"
    with TokenServer({"ann": "secret"}, answer_key="access_token") as tokens:
        asked = {"scope": scope, "service": tokens.service}
        got = requests.get(tokens.realm, {**asked, "offline_token": "true"}, auth=("ann", "secret"), timeout=30)
        assert {"access_token", "refresh_token", "expires_in"} <= set(got.json())
        assert requests.get(tokens.realm, asked, auth=("ann", "wrong"), timeout=30).status_code == 401
        assert "refresh_token" not in requests.get(tokens.realm, asked, timeout=30).json()
        refresh = {**asked, "grant_type": "refresh_token", "refresh_token": got.json()["refresh_token"]}
        assert requests.post(tokens.realm, refresh, timeout=30).json()["access_token"]
        password = {**asked, "grant_type": "password", "username": "ann", "password": "secret"}
        assert requests.post(tokens.realm, password, timeout=30).status_code == 200
        tokens.revoke_identities()
        assert requests.post(tokens.realm, refresh, timeout=30).status_code == 401
        outcomes = [(each.user, each.grant, each.status) for each in tokens.asked]
        assert outcomes == [
            ("ann", "basic", 200),
            (None, "basic", 401),
            (None, "anonymous", 200),
            ("ann", "refresh_token", 200),
            ("ann", "password", 200),
            (None, "refresh_token", 401),
        ]
        assert tokens.scopes == [scope] * 6


@pytest.mark.parametrize("appendonly", [True, False])
def test_redis_keeps_its_keys_over_a_crash_if_appendonly(*, appendonly: bool) -> None:
    with RedisServer(appendonly=appendonly) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
        server.kill()
        server.restart()
        assert client.exists("key") == appendonly
