"""A Redis with the configuration and the users of `deploy/redis`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from tests.deploy.local import DEPLOY
from tests.support import processes
from tests.support.processes import Process

PREFIX = "imagepusher:"


@dataclass
class Deployed:
    """A Redis with the configuration and the users of deploy/redis; `admin` may do anything, for the tests."""

    folder: Path
    port: int
    process: Process | None = None

    def start(self) -> None:
        options = {
            "--bind": "127.0.0.1",
            "--dir": str(self.folder),
            "--aclfile": str(self.folder / "secrets" / "users.acl"),
        }
        words = [text for option in options.items() for text in option]
        program = processes.find_program("redis-server", "redis-server")
        self.process = processes.start(
            lambda port: [program, str(DEPLOY / "redis" / "redis.conf"), "--port", str(port), *words],
            lambda _: self._answers(),
            self.folder / "redis.log",
            port=self.port,
        )

    def stop(self) -> None:
        assert self.process is not None
        self.process.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _answers(self) -> bool:
        try:
            with self.client("admin") as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def url(self, user: str) -> str:
        if user == "admin":
            return f"redis://admin:made-up@127.0.0.1:{self.port}/0"
        secrets = self.folder / "secrets"
        if (secrets / f"{user}_url").exists():
            return (secrets / f"{user}_url").read_text().strip()
        url: str = tomllib.loads((secrets / f"{user}.toml").read_text())["broker"]["url"]
        return url

    def client(self, user: str) -> redis.Redis:
        return redis.Redis.from_url(self.url(user), decode_responses=True, socket_timeout=300)

    def app(self, user: str, **options: Any) -> Celery:
        app = Celery("somebody", broker=self.url(user), set_as_current=False)
        app.conf.broker_transport_options = {"global_keyprefix": PREFIX, **options}
        return app

    def refused(self) -> list[tuple[str, str]]:
        """Return who was refused what since it was asked last."""
        with self.client("admin") as client:
            log = [(entry["username"], entry["object"]) for entry in client.acl_log()]
            client.acl_log_reset()
        return log
