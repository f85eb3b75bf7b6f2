"""Redis in other forms than alone and in the clear: by TLS, behind Sentinels, as a node of a cluster, on a socket."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import processes
from tests.support.certificates import Certificates
from tests.support.processes import Process

MASTER = "primary"


@contextmanager
def redis_by_tls(certificates: Certificates) -> Iterator[int]:
    """Serve Redis by TLS alone, and only to clients with a certificate of the authority; yields the port."""

    def options(port: int, _: Path) -> list[str]:
        return ["--port", "0", "--tls-port", str(port), *_tls(certificates)]

    with _serving(options) as process:
        yield process.port


@contextmanager
def redis_on_a_socket() -> Iterator[Path]:
    """Serve Redis on a socket of this machine alone; yields its path."""

    def options(_: int, folder: Path) -> list[str]:
        return ["--port", "0", "--unixsocket", str(folder / "redis.sock")]

    with _serving(options) as process:
        yield process.log_path.parent / "redis.sock"


@contextmanager
def redis_in_cluster_mode() -> Iterator[int]:
    """Serve a node of a cluster that has no other; yields the port."""
    with _serving(lambda port, _: ["--port", str(port), "--cluster-enabled", "yes"]) as process:
        yield process.port


@contextmanager
def sentinels(primary: int, count: int = 2, *, certificates: Certificates | None = None) -> Iterator[list[int]]:
    """Run Sentinels that know the Redis at the port `primary` by the name MASTER; yields their ports."""
    if count == 0:
        yield []
        return

    def options(port: int, folder: Path) -> list[str]:
        file = folder / "sentinel.conf"
        file.write_text(f"sentinel monitor {MASTER} 127.0.0.1 {primary} 1\n")
        if certificates is None:
            return [str(file), "--sentinel", "--port", str(port)]
        return [str(file), "--sentinel", "--port", "0", "--tls-port", str(port), *_tls(certificates)]

    with (
        _serving(options, ready="+monitor") as process,
        sentinels(primary, count - 1, certificates=certificates) as others,
    ):
        yield [process.port, *others]


def _tls(certificates: Certificates) -> list[str]:
    server = certificates.server
    return [
        *("--tls-cert-file", str(server.certificate), "--tls-key-file", str(server.key)),
        *("--tls-ca-cert-file", str(certificates.authority), "--tls-auth-clients", "yes", "--tls-replication", "yes"),
    ]


@contextmanager
def _serving(
    options: Callable[[int, Path], list[str]], ready: str = "ready to accept connections"
) -> Iterator[Process]:
    program = processes.find_program("redis-server", "redis-server")
    with tempfile.TemporaryDirectory(prefix="redis-") as name:
        folder = Path(name)

        def command(port: int) -> list[str]:
            first, *rest = options(port, folder)
            shared = ["--bind", "127.0.0.1", "--dir", name, "--save", "", "--maxmemory-policy", "noeviction"]
            return [program, first, *rest, *shared]

        process = processes.start(command, lambda process: ready in process.log().lower(), folder / "redis.log")
        try:
            yield process
        finally:
            process.stop()
