"""Redis in other forms than alone and in the clear: by TLS, behind Sentinels, as a node of a cluster, on a socket."""

from abc import abstractmethod

from tests.support import processes
from tests.support.certificates import Certificates
from tests.support.processes import Process
from tests.support.server import Server

MASTER = "primary"


class _Form(Server):
    sign = "ready to accept connections"

    @abstractmethod
    def options(self, port: int) -> list[str]:
        """Return what makes this form of it."""

    def command(self, port: int) -> list[str]:
        shared = ["--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", "--maxmemory-policy", "noeviction"]
        return [processes.find_program("redis-server", "redis-server"), *self.options(port), *shared]

    def ready(self, process: Process, output: str) -> bool:
        return self.sign in output.lower()


class RedisByTls(_Form):
    """Serve Redis by TLS alone, and only to clients with a certificate of the authority."""

    name = "redis-tls"

    def __init__(self, certificates: Certificates) -> None:
        super().__init__()
        self._certificates = certificates

    def options(self, port: int) -> list[str]:
        return ["--port", "0", "--tls-port", str(port), *_tls(self._certificates)]


class RedisOnSocket(_Form):
    """Serve Redis on a socket of this machine alone."""

    name = "redis-socket"

    @property
    def path(self) -> str:
        return f"{self.folder}/redis.sock"

    def options(self, port: int) -> list[str]:
        return ["--port", "0", "--unixsocket", self.path]


class RedisInCluster(_Form):
    """Serve a node of a cluster that has no other."""

    name = "redis-cluster"

    def options(self, port: int) -> list[str]:
        return ["--port", str(port), "--cluster-enabled", "yes"]


class Sentinel(_Form):
    """Run a Sentinel that knows the Redis at the port `primary` by the name MASTER, by TLS if it has certificates."""

    name = "sentinel"
    sign = "+monitor"

    def __init__(self, primary: int, certificates: Certificates | None = None) -> None:
        super().__init__()
        self._primary = primary
        self._certificates = certificates

    def options(self, port: int) -> list[str]:
        file = self.folder / "sentinel.conf"
        file.write_text(f"sentinel monitor {MASTER} 127.0.0.1 {self._primary} 1\n")
        if self._certificates is None:
            return [str(file), "--sentinel", "--port", str(port)]
        return [str(file), "--sentinel", "--port", "0", "--tls-port", str(port), *_tls(self._certificates)]


def _tls(certificates: Certificates) -> list[str]:
    server = certificates.server
    return [
        *("--tls-cert-file", str(server.certificate), "--tls-key-file", str(server.key)),
        *("--tls-ca-cert-file", str(certificates.authority), "--tls-auth-clients", "yes", "--tls-replication", "yes"),
    ]
