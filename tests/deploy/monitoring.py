"""What deploy/monitoring asks Prometheus, as its files say it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "monitoring"

# Grafana's own variables, which Prometheus does not know.
_VARIABLES = {"$__rate_interval": "1m", "$__range": "1h"}


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    read: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return read


def panels() -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def alerts() -> dict[str, str]:
    """Return the expression of each alert by its name."""
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def panel_queries() -> dict[str, list[str]]:
    """Return the expressions of each panel by its title, as Prometheus would get them."""
    return {panel["title"]: [_filled(target["expr"]) for target in panel["targets"]] for panel in panels()}


def queries() -> Iterator[str]:
    """Yield every expression of dashboard and alerts."""
    yield from alerts().values()
    for expressions in panel_queries().values():
        yield from expressions
    for annotation in dashboard()["annotations"]["list"]:
        yield annotation["expr"]


def metrics_in(expression: str) -> set[str]:
    """Return the metrics that an expression names: ours, those of the process, and Prometheus' `up`."""
    return set(re.findall(r"\b(?:imagepusher_\w+|process_\w+|up(?=\{))", expression))


def selectors_in(expression: str) -> list[tuple[str, str, set[str]]]:
    """Return the metric, the label and the values that may match, of each condition in braces."""
    found = []
    for metric, conditions in re.findall(r"(\w+)\{([^}]*)\}", expression):
        for label, operator, value in re.findall(r'(\w+)\s*(=~|=)\s*"([^"]*)"', conditions):
            found.append((metric, label, set(value.split("|")) if operator == "=~" else {value}))
    return found


def _filled(expression: str) -> str:
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression
