"""A layer of any size passes in constant memory: 2 GiB in less than 100 MiB."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.hollow import HollowRegistry, Repeated
from tests.support.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, digest_of, encode
from tests.support.redis_server import RedisServer
from tests.support.workers import command, environment, running_worker

MOST_MIB = 100
LAYER = Repeated(2048)
# `resource` would tell the peak of the process that forked, if that was higher.
SHOW = "\nprint('peak', [line for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
CLIENT = """
import sys
from tasks.oci.descriptor import Descriptor
from tasks.registry.repository import Registries
from tasks.registry.settings import RegistryConfiguration
source, destination, digest, size = sys.argv[1:]
registries = Registries(RegistryConfiguration())
blob = Descriptor("application/octet-stream", digest, int(size))
with registries.repository(source, "app", "source").open_blob(blob) as reader:
    registries.repository(destination, "app", "destination", push=True).blob_upload(blob, reader, lambda _: None).run()
"""
COMMAND = """
import sys
from workers.cli.main import imagepusher
imagepusher(sys.argv[1:], standalone_mode=False)
"""


def peak_mib(program: str, arguments: list[str], folder: Path) -> float:
    """Run a program of Python in a process of its own, and return the most memory that it had at once, in MiB."""
    environment = {"HOME": str(folder), "XDG_STATE_HOME": str(folder), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(
        [sys.executable, "-c", program + SHOW, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment,
    )
    assert ended.returncode == 0, ended.stderr
    match = re.search(r"peak VmHWM:\s*(\d+) kB", ended.stdout)
    assert match, ended.stdout
    return int(match[1]) / 1024


@pytest.fixture(scope="module")
def digest() -> str:
    return LAYER.digest()


@contextmanager
def image_of(layer: Repeated, digest: str) -> Iterator[tuple[HollowRegistry, HollowRegistry]]:
    """Yield a registry with an image of one such layer, `app:latest`, and one without; check that it arrived."""
    config = encode({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}})
    layers = [{"mediaType": OCI_LAYER, "digest": digest, "size": layer.size}]
    described = {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)}
    manifest = encode({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": layers})
    with HollowRegistry() as source, HollowRegistry() as destination:
        source.blobs |= {digest: layer, digest_of(config): config}
        source.put("app", "latest", OCI_MANIFEST, manifest)
        yield source, destination
        assert destination.received[digest] == layer.size
        assert destination.manifests["app", "latest"] == (OCI_MANIFEST, manifest)


def test_the_client_moves_a_layer_of_2_gib_in_constant_memory(digest: str, tmp_path: Path) -> None:
    with HollowRegistry() as source, HollowRegistry() as destination:
        source.blobs[digest] = LAYER
        peak = peak_mib(CLIENT, [source.host, destination.host, digest, str(LAYER.size)], tmp_path)
        assert destination.received == {digest: LAYER.size}
    assert peak < MOST_MIB


def test_a_push_in_one_process_moves_a_layer_of_2_gib_in_constant_memory(digest: str, tmp_path: Path) -> None:
    """Worker, broker and command line together."""
    with image_of(LAYER, digest) as (source, destination):
        peak = peak_mib(COMMAND, ["copy", f"{source.host}/app:latest", f"{destination.host}/app:latest"], tmp_path)
    assert peak < MOST_MIB


def test_a_worker_moves_a_large_layer_in_constant_memory(tmp_path: Path) -> None:
    layer = Repeated(512, b"worker" + bytes((1 << 20) - 6))
    with RedisServer() as redis, image_of(layer, layer.digest()) as (source, destination):
        settings = {"IMAGEPUSHER_BROKER_URL": redis.url, "IMAGEPUSHER_STATE_DIR": str(tmp_path)}
        with running_worker(settings) as worker:
            copy = command("copy", f"{source.host}/app:latest", f"{destination.host}/app:latest")
            subprocess.run(copy, env=environment(settings), check=True, capture_output=True, timeout=300)
            peak = worker.resident_bytes() >> 20
    assert peak < MOST_MIB
