"""Run a real `redis-server` with a data folder of its own."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support import processes
from tests.support.processes import Process
from tests.support.server import Server


class RedisServer(Server):
    """Serve Redis on loopback while the context lasts, without snapshots; nothing is evicted.

    With `appendonly` (fsync on each write) what was written outlives `kill` and `restart`, else it is lost.
    """

    name = "redis"

    def __init__(self, *, appendonly: bool = False) -> None:
        super().__init__()
        self._appendonly = appendonly

    @property
    def url(self) -> str:
        """Return the address of database 0; append nothing, replace the last part for another one."""
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Empty all databases."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def command(self, port: int) -> list[str]:
        options = {
            "--port": str(port),
            "--bind": "127.0.0.1",
            "--dir": str(self.folder),
            "--save": "",
            "--appendonly": "yes" if self._appendonly else "no",
            "--appendfsync": "always",
            "--maxmemory-policy": "noeviction",
        }
        program = processes.find_program("redis-server", "redis-server")
        return [program, *(text for option in options.items() for text in option)]

    def ready(self, process: Process, output: str) -> bool:
        # Another server that won the race for the port would answer a ping as well.
        with redis.Redis(port=process.port, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
            try:
                answered_by: int = client.info("server")["process_id"]
            except redis.RedisError:
                return False
        return answered_by == process.pid
