"""Alerts and dashboard: they are well-formed, fire when they should, and name only what workers really show."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tasks import telemetry
from tests.deploy.monitoring import FOLDER, alerts, dashboard, metrics_in, panel_queries, panels, queries, selectors_in
from tests.support.processes import find_program
from workers.observability import metrics
from workers.observability.backlog import Backlog
from workers.observability.metrics import worker_metrics


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = find_program("promtool", "prometheus")
    return subprocess.run([program, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=300)


def shown() -> dict[str, set[str]]:
    """Return the labels of each series that a worker shows, by its name."""
    backlog = Backlog({"imagepusher.copy": 1}, [1.0], workers={"imagepusher.copy": 1})
    registry, listener = worker_metrics(lambda: backlog)
    for name, labels in telemetry.COUNTERS.items():
        listener.count(name, 1, dict.fromkeys(labels, "x"))
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_prometheus_takes_the_configuration_and_the_rules_that_it_names() -> None:
    checked = promtool("check", "config", "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 rule files found" in checked.stdout


def test_the_job_is_called_as_rules_and_dashboard_expect_it() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    named = {
        value for query in queries() for _, label, values in selectors_in(query) if label == "job" for value in values
    }
    assert named == {job["job_name"]}


def test_alerts_fire_when_they_should_and_only_then() -> None:
    tested = promtool("test", "rules", "alerts.test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(alert: str) -> None:
    text = (FOLDER / "alerts.test.yml").read_text()
    cases = yaml.safe_load(text)["tests"]
    quiet = [case for test in cases for case in test.get("alert_rule_test", []) if case["alertname"] == alert]
    assert quiet
    assert not any(case["exp_alerts"] for case in quiet)
    firing = [
        case
        for test in cases
        for case in test.get("promql_expr_test", [])
        if f'"{alert}"' in case["expr"] and case["exp_samples"]
    ]
    assert firing


def test_each_alert_says_what_happened_and_what_to_do() -> None:
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_every_metric_that_is_named_exists() -> None:
    named = {metric for query in queries() for metric in metrics_in(query)}
    assert len(named) > 15
    assert named - shown().keys() == {"up"}


def test_every_metric_that_workers_show_is_on_the_dashboard() -> None:
    drawn = {
        metric for expressions in panel_queries().values() for query in expressions for metric in metrics_in(query)
    }
    ours = {name for name in shown() if name.startswith("imagepusher_")}
    assert ours - drawn == set()


def test_every_label_that_is_named_exists_and_may_have_the_value() -> None:
    labels = shown()
    for query in queries():
        for metric, label, values in selectors_in(query):
            if metric == "ALERTS":
                continue
            if label == "job":
                continue
            assert label in labels[metric], query
            if label != "status":
                assert values <= set(metrics._KNOWN[metric.removeprefix("imagepusher_").removesuffix("_total")]), query
        grouped = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")}
        for metric in metrics_in(query):
            assert grouped <= labels.get(metric, grouped), query


def test_every_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    """Prometheus checks expressions only as rules."""
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(query for part in panel_queries().values() for query in part)
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_panels_have_a_place_a_unit_and_a_word_of_explanation() -> None:
    everything = dashboard()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
