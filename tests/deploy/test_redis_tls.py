"""Redis by TLS: what `make-secrets --tls` makes and `compose.tls.yaml` starts works together, and nothing else does."""

import base64
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from tests.deploy.kustomize import build
from tests.deploy.local import DEPLOY, Machine, make_secrets
from tests.support.certificates import Authority
from tests.support.processes import find_program, free_port
from tests.support.workers import command, environment, running_worker

PLAIN: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
ADDED: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.tls.yaml").read_text())


@dataclass(frozen=True)
class Encrypted:
    """A Redis as the two compose files start it, with the secrets of it and its users."""

    secrets: Path
    port: int

    def url(self, user: str) -> str:
        return (self.secrets / f"{user}_url").read_text().strip()

    def settings(self, name: str) -> dict[str, str]:
        return {"IMAGEPUSHER_CONFIG": str(self.secrets / name), "IMAGEPUSHER_OUTAGE_SECONDS": "0"}


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    folder = tmp_path_factory.mktemp("tls")
    port = free_port()
    secrets = make_secrets(folder / "secrets", f"127.0.0.1:{port}", "--compose", "--tls")
    (folder / "data").mkdir()
    moved = {"/run/secrets": secrets, "/etc/redis": folder, "/data": folder / "data", "6379": port}
    machine = Machine(folder, {there: str(here) for there, here in moved.items()})
    for name in ("redis.conf", "redis-tls.conf"):
        (folder / name).write_text(machine.here((DEPLOY / "redis" / name).read_text()))
    find_program("redis-server", "redis-server")
    server = ADDED["services"]["redis"]
    with machine.running("redis", [*server["command"], "--bind", "127.0.0.1"], {}):
        _, program, *words = server["healthcheck"]["test"]
        machine.wait_for("redis", [program, "-p", str(port), *words], {})
        yield Encrypted(secrets, port)


def test_workers_and_operators_speak_to_it(encrypted: Encrypted) -> None:
    settings = encrypted.settings("imagepusher.toml")
    with running_worker(settings, ["--queues", "push"]):
        asked = subprocess.run(
            command("status", "-o", "json"), env=environment(settings), capture_output=True, check=False, timeout=300
        )
    assert (asked.returncode, asked.stdout.strip()) == (0, b"[]"), asked.stderr


@pytest.mark.parametrize("user", ["producer", "consumer"])
def test_whoever_has_a_url_speaks_to_it(encrypted: Encrypted, user: str) -> None:
    with redis.Redis.from_url(encrypted.url(user)) as client:
        assert client.ping()


def test_without_tls_nobody_is_answered(encrypted: Encrypted) -> None:
    plain = encrypted.url("consumer").replace("rediss://", "redis://").partition("?")[0]
    with redis.Redis.from_url(plain) as client, pytest.raises(redis.RedisError):
        client.ping()


def test_a_redis_of_another_authority_is_not_trusted(encrypted: Encrypted, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other").path
    url = encrypted.url("consumer").partition("?")[0]
    with (
        redis.Redis.from_url(f"{url}?ssl_ca_certs={other}") as client,
        pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.ping()
    changed = tmp_path / "imagepusher.toml"
    changed.write_text((encrypted.secrets / "imagepusher.toml").read_text().replace('"ca.crt"', f'"{other}"'))
    changed.chmod(0o600)
    asked = subprocess.run(
        command("status"),
        env=environment({"IMAGEPUSHER_CONFIG": str(changed), "IMAGEPUSHER_OUTAGE_SECONDS": "0"}),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert asked.returncode != 0


@pytest.mark.parametrize("host", ["redis:6379", "redis.imagepusher.svc:6379", "[fd00::1]:6379", "192.0.2.1:6379"])
def test_the_certificate_is_for_the_name_that_settings_use(tmp_path: Path, host: str) -> None:
    folder = make_secrets(tmp_path / "secrets", host, "--tls")
    name = host.rpartition(":")[0].strip("[]")
    kind = "-verify_hostname" if name.startswith("redis") else "-verify_ip"
    verified = subprocess.run(
        [find_program("openssl", "openssl"), "verify", "-CAfile", folder / "ca.crt", kind, name, folder / "redis.crt"],
        capture_output=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    # Python 3.13 is stricter than OpenSSL by itself.
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    assert context.get_ca_certs()
    assert (folder / "redis.key").stat().st_mode & 0o077 == 0
    assert not list(folder.glob("ca.key"))
    for file in ("imagepusher.toml", "flower.toml", "page.toml", "producer_url", "consumer_url"):
        text = (folder / file).read_text()
        assert f"@{host}/0" in text
        assert "rediss://" in text
        assert "redis://" not in text
    assert 'ca_file = "ca.crt"' in (folder / "flower.toml").read_text()


def test_every_service_that_needs_the_authority_has_it() -> None:
    ours = {name for name, service in PLAIN["services"].items() if service["image"] == "imagepusher"} | {"redis"}
    assert ours == ADDED["services"].keys()
    for name, service in ADDED["services"].items():
        assert "ca.crt" in service["secrets"], name
        assert set(service["secrets"]) <= ADDED["secrets"].keys()
    check, command = PLAIN["services"]["redis"]["healthcheck"]["test"], PLAIN["services"]["redis"]["command"]
    assert set(check) <= set(ADDED["services"]["redis"]["healthcheck"]["test"])
    assert set(command) <= set(ADDED["services"]["redis"]["command"])


def test_the_example_for_kubernetes_speaks_tls_everywhere(tmp_path: Path) -> None:
    """Each part has the authority, KEDA's triggers too, and Redis is told of its certificate."""
    shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets"))
    overlays = tmp_path / "deploy/kubernetes/overlays"
    make_secrets(overlays / "example/secrets", "redis.imagepusher.svc:6379", "--tls")
    shutil.copytree(overlays / "example/secrets", overlays / "example-tls/secrets")
    plain, made = (
        {(each["kind"], each["metadata"]["name"]): each for each in build(overlays / name)}
        for name in ("example", "example-tls")
    )
    assert made.keys() == plain.keys()
    for name in ("imagepusher-settings", "flower-settings", "page-settings", "redis-users", "redis-scaler"):
        data = {key: base64.b64decode(value).decode() for key, value in made["Secret", name]["data"].items()}
        assert data["ca.crt"].startswith("-----BEGIN CERTIFICATE-----"), name
        assert data.keys() > plain["Secret", name]["data"].keys()
        assert all(
            '"rediss://' in text and 'ca_file = "ca.crt"' in text for key, text in data.items() if key.endswith("toml")
        )
    (container,) = made["StatefulSet", "redis"]["spec"]["template"]["spec"]["containers"]
    server = ADDED["services"]["redis"]
    assert container["command"][: len(server["command"])] == server["command"]
    assert container["readinessProbe"]["exec"]["command"] == server["healthcheck"]["test"][1:]
    assert {"redis.crt", "redis.key"} <= made["Secret", "redis-users"]["data"].keys()
    triggers = [
        trigger for (kind, _), each in made.items() if kind == "ScaledObject" for trigger in each["spec"]["triggers"]
    ]
    assert len(triggers) == 7
    assert {trigger["metadata"].get("enableTLS") for trigger in triggers} == {"true"}
    asked = made["TriggerAuthentication", "redis"]["spec"]["secretTargetRef"]
    assert {"parameter": "ca", "name": "redis-scaler", "key": "ca.crt"} in asked


@pytest.mark.parametrize(
    "unit", ["imagepusher-worker@.service", "imagepusher-page.service", "imagepusher-flower.service"]
)
def test_the_drop_in_for_systemd_puts_the_authority_beside_the_settings(unit: str) -> None:
    credentials = [line for line in (DEPLOY / "systemd" / unit).read_text().splitlines() if ".toml" in line]
    assert "Environment=IMAGEPUSHER_CONFIG=%d/" in "\n".join(credentials)
    added = (DEPLOY / "systemd/tls.conf").read_text().splitlines()
    assert "[Service]" in added
    assert "LoadCredential=ca.crt:/etc/imagepusher/ca.crt" in added
