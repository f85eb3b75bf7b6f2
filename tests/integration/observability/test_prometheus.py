"""A real Prometheus with the shipped configuration scrapes a real worker, and every panel of the dashboard shows it."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml

from tests.deploy.monitoring import FOLDER, alerts, panel_queries
from tests.integration.observability.conftest import Watched, address_of
from tests.support import processes
from tests.support.images import image
from tests.support.processes import Process, wait_until
from tests.support.registries import DistributionRegistry
from tests.support.server import Server
from tests.support.stored import upload

# Registries limit no requests here, and nothing has to be tried again.
EVENTFUL = {"Limits and further tries"}


class Prometheus(Server):
    """A server that scrapes one worker, often, by the shipped files."""

    name = "prometheus"

    def __init__(self, worker: str) -> None:
        super().__init__()
        configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        configuration["global"] = {
            "scrape_interval": "2s",
            "scrape_timeout": "2s",
            "evaluation_interval": "300ms",
        }
        (job,) = configuration["scrape_configs"]
        del job["scrape_timeout"]
        job["static_configs"] = [{"targets": [worker]}]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        (self.folder / "alerts.yml").write_bytes((FOLDER / "alerts.yml").read_bytes())

    def command(self, port: int) -> list[str]:
        return [
            processes.find_program("prometheus", "prometheus"),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

    def ready(self, process: Process, output: str) -> bool:
        return "Server is ready to receive web requests" in output

    def query(self, expression: str) -> list[Any]:
        """Return what an expression is now."""
        return list(self._get("query", query=expression)["result"])

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire, or wait to."""
        return {alert["labels"]["alertname"] for alert in self._get("alerts")["alerts"]}

    def _get(self, what: str, **parameters: str) -> Any:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"http://127.0.0.1:{self.port}/api/v1/{what}", params=parameters, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@pytest.fixture
def prometheus(watched: Watched) -> Iterator[Prometheus]:
    with Prometheus(address_of(watched.worker)) as running:
        yield running


def test_every_panel_shows_a_push_and_the_right_alert_fires(
    watched: Watched,
    prometheus: Prometheus,
    registry_a: DistributionRegistry,
    registry_b: DistributionRegistry,
    name: str,
) -> None:
    wait_until(lambda: bool(prometheus.query('up{job="imagepusher"} == 1')), "Prometheus never reached the worker")
    wait_until(lambda: bool(prometheus.query("imagepusher_state_up")), "Prometheus never scraped the worker")
    upload(registry_a.host, f"{name}/src", image(), "1")
    item = {"source": f"{registry_a.host}/{name}/src:1", "destinations": {f"{registry_b.host}/{name}": ["1"]}}
    watched.push({"items": [item]})
    watched.push({"items": [item | {"source": f"{registry_a.host}/{name}/gone:1"}]})

    wait_until(lambda: "ImagepusherPushFailed" in prometheus.firing(), "no alert told of the push that failed")
    # A rate needs two scrapes of a series, and some series begin with the first request.
    wait_until(lambda: empty(prometheus) <= EVENTFUL, f"panels without data beside {EVENTFUL}")
    # A scrape that came too late lets other alerts wait until the next one.
    wait_until(lambda: prometheus.firing() & alerts().keys() == {"ImagepusherPushFailed"}, "other alerts tell too")


def empty(prometheus: Prometheus) -> set[str]:
    """Return the titles of the panels that show nothing."""
    return {
        title
        for title, expressions in panel_queries().items()
        if not all(prometheus.query(expression) for expression in expressions)
    }
