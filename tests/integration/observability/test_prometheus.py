"""A real Prometheus with the shipped configuration scrapes a real worker, and every panel of the dashboard shows it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
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
from tests.support.stored import upload

# Registries limit no requests here, and nothing has to be tried again.
EVENTFUL = {"Limits and further tries"}


class Prometheus:
    """A server that scrapes often."""

    def __init__(self, process: Process) -> None:
        self._url = f"http://127.0.0.1:{process.port}/api/v1"

    def query(self, expression: str) -> list[Any]:
        """Return what an expression is now."""
        return list(self._get("query", query=expression)["result"])

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire, or wait to."""
        return {alert["labels"]["alertname"] for alert in self._get("alerts")["alerts"]}

    def _get(self, what: str, **parameters: str) -> Any:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"{self._url}/{what}", params=parameters, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@pytest.fixture
def prometheus(watched: Watched) -> Iterator[Prometheus]:
    """Run Prometheus on the shipped files, but for the workers' addresses and the pace."""
    program = processes.find_program("prometheus", "prometheus")
    with tempfile.TemporaryDirectory(prefix="prometheus-") as temporary:
        folder = Path(temporary)
        configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        configuration["global"] = {
            "scrape_interval": "300ms",
            "scrape_timeout": "300ms",
            "evaluation_interval": "300ms",
        }
        (job,) = configuration["scrape_configs"]
        del job["scrape_timeout"]
        job["static_configs"] = [{"targets": [address_of(watched.worker)]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        (folder / "alerts.yml").write_bytes((FOLDER / "alerts.yml").read_bytes())

        def command(port: int) -> list[str]:
            return [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ]

        process = processes.start(
            command, lambda started: "Server is ready to receive web requests" in started.log(), folder / "log"
        )
        try:
            yield Prometheus(process)
        finally:
            process.stop()


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
    assert prometheus.firing() & alerts().keys() == {"ImagepusherPushFailed"}


def empty(prometheus: Prometheus) -> set[str]:
    """Return the titles of the panels that show nothing."""
    return {
        title
        for title, expressions in panel_queries().items()
        if not all(prometheus.query(expression) for expression in expressions)
    }
