"""Pushes over Redis as companies have it: by TLS with client certificates, behind Sentinels, on a socket."""

from pathlib import Path

import pytest

from tests.support import commands
from tests.support.certificates import Authority
from tests.support.images import image, index
from tests.support.redis_forms import MASTER, RedisByTls, RedisInCluster, RedisOnSocket, Sentinel
from tests.support.redis_server import RedisServer
from tests.support.registries import DistributionRegistry
from tests.support.stored import Stored, upload
from tests.support.workers import running_worker


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def tls(authority: Authority) -> dict[str, str]:
    client = authority.issue("client")
    client.key.chmod(0o600)
    return {
        "IMAGEPUSHER_BROKER_CA_FILE": str(authority.path),
        "IMAGEPUSHER_BROKER_CLIENT_CERTIFICATE": str(client.certificate),
        "IMAGEPUSHER_BROKER_CLIENT_KEY": str(client.key),
    }


def pushes(settings: dict[str, str], a: DistributionRegistry, b: DistributionRegistry, name: str) -> None:
    """Push with a worker on this broker, and let doctor say that it would work."""
    source = index([image("linux/amd64"), image("linux/arm64")])
    upload(a.host, f"{name}/src", source, "1")
    with running_worker(settings, ["--concurrency", "2"]):
        done = commands.run("copy", f"{a.host}/{name}/src:1", f"{b.host}/{name}/dst:1", settings=settings)
        assert done.code == 0, done.stderr
        assert Stored(b.host).digest(f"{name}/dst", "1") == source.digest
        examined = commands.run("doctor", "-o", "json", settings=settings).document
        assert [finding for finding in examined["findings"] if finding["level"] == "error"] == []


def test_by_tls_with_a_client_certificate(
    tls: dict[str, str],
    authority: Authority,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    name: str,
) -> None:
    """BEHAVIOUR 8.5."""
    with RedisByTls(authority.certificates(require_client=True)) as server:
        url = {"IMAGEPUSHER_BROKER_URL": f"rediss://127.0.0.1:{server.port}/0"}
        pushes(url | tls, registry_a, registry_b, name)
        without = commands.run("doctor", settings=url | {"IMAGEPUSHER_BROKER_CA_FILE": str(authority.path)})
        assert without.code == 1


def test_behind_sentinels(
    redis_server: RedisServer, registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str
) -> None:
    with Sentinel(redis_server.port) as one, Sentinel(redis_server.port) as two:
        url = f"sentinel://127.0.0.1:{one.port},127.0.0.1:{two.port}/1"
        settings = {"IMAGEPUSHER_BROKER_URL": url, "IMAGEPUSHER_SENTINEL_MASTER": MASTER}
        pushes(settings, registry_a, registry_b, name)
        unknown = commands.run("doctor", settings=settings | {"IMAGEPUSHER_SENTINEL_MASTER": "other"})
        assert unknown.code == 1
        assert "No master found for 'other'" in unknown.stdout


def test_behind_sentinels_by_tls(
    tls: dict[str, str],
    authority: Authority,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    name: str,
) -> None:
    """BEHAVIOUR 8.5."""
    certificates = authority.certificates(require_client=True)
    with RedisByTls(certificates) as server, Sentinel(server.port, certificates) as sentinel:
        settings = {
            "IMAGEPUSHER_BROKER_URL": f"sentinel://127.0.0.1:{sentinel.port}/0",
            "IMAGEPUSHER_SENTINEL_MASTER": MASTER,
        }
        pushes(settings | tls, registry_a, registry_b, name)


def test_on_a_socket(registry_a: DistributionRegistry, registry_b: DistributionRegistry, name: str) -> None:
    with RedisOnSocket() as server:
        pushes({"IMAGEPUSHER_BROKER_URL": f"redis+socket://{server.path}?virtual_host=2"}, registry_a, registry_b, name)


def test_a_redis_in_cluster_mode_is_refused_by_worker_and_doctor() -> None:
    with RedisInCluster() as server:
        settings = {"IMAGEPUSHER_BROKER_URL": f"redis://127.0.0.1:{server.port}/0"}
        worker = commands.run("worker", settings=settings)
        assert worker.code == 2
        assert "Error [settings_invalid]: broker.url leads to a Redis in cluster mode." in worker.stderr
        examined = commands.run("doctor", "-o", "json", settings=settings).document
        assert [finding["check"] for finding in examined["findings"] if finding["level"] == "error"] == [
            "redis.cluster"
        ]
        pushed = commands.run("copy", "a.example/a:1", "b.example/b:1", "-o", "json", settings=settings)
        assert pushed.document["error"]["code"] != "internal_error"
